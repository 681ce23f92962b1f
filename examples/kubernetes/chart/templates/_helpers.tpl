{{- define "ebhost.name" -}}
{{- if contains "ebhost" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-ebhost" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "ebhost.selector" -}}
app.kubernetes.io/name: ebhost
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ebhost.labels" -}}
{{ include "ebhost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "ebhost.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "ebhost.name" .) }}
{{- end }}

{{- define "ebhost.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
