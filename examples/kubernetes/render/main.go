// Renders a chart as Helm does, with the libraries that Helm's engine is made of: Go's text/template, sprig and sigs.k8s.io/yaml.
//
//	render CHART < VALUES.json > OBJECTS.json
//
// The values are merged with those of values.yaml; the release is `ebhost` in the namespace `default`. The output has the merged values, and the text of
// each template by its name. Not here, because the chart does not use it: subcharts, hooks, `tpl`, `lookup` and `.Capabilities`.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

// Files of the chart, as `.Files` has them.
type files map[string][]byte

func (f files) Get(name string) string { return string(f[name]) }

func (f files) Glob(pattern string) files {
	found := files{}
	for name, bytes := range f {
		if fits, _ := filepath.Match(pattern, name); fits {
			found[name] = bytes
		}
	}
	return found
}

// merged gives the chart's values with those of an operator in their place. A null removes a value.
func merged(chart, own map[string]any) map[string]any {
	for name, value := range own {
		inner, isMap := value.(map[string]any)
		old, wasMap := chart[name].(map[string]any)
		switch {
		case value == nil:
			delete(chart, name)
		case isMap && wasMap:
			chart[name] = merged(old, inner)
		default:
			chart[name] = value
		}
	}
	return chart
}

// read puts every file below a folder into `into`, by its path below the chart. Links are followed, as `helm package` does.
func read(chart, folder string, into files) {
	entries, err := os.ReadDir(filepath.Join(chart, folder))
	check(err)
	for _, entry := range entries {
		name := filepath.Join(folder, entry.Name())
		info, err := os.Stat(filepath.Join(chart, name))
		check(err)
		if info.IsDir() {
			read(chart, name, into)
			continue
		}
		bytes, err := os.ReadFile(filepath.Join(chart, name))
		check(err)
		into[name] = bytes
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	all := files{}
	read(os.Args[1], ".", all)
	chart, values, own := map[string]any{}, map[string]any{}, map[string]any{}
	check(yaml.Unmarshal(all["Chart.yaml"], &chart))
	check(yaml.Unmarshal(all["values.yaml"], &values))
	check(json.NewDecoder(os.Stdin).Decode(&own))
	values = merged(values, own)
	others, templates := files{}, []string{}
	for name, bytes := range all {
		if strings.HasPrefix(name, "templates/") {
			templates = append(templates, name)
		} else if name != "Chart.yaml" && name != "values.yaml" && name != "values.schema.json" {
			others[name] = bytes
		}
	}
	sort.Strings(templates)

	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["include"] = func(name string, data any) (string, error) {
		text := strings.Builder{}
		err := root.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["toYaml"] = func(value any) string {
		text, err := yaml.Marshal(value)
		check(err)
		return strings.TrimSuffix(string(text), "\n")
	}
	root.Funcs(functions)
	for _, name := range templates {
		_, err := root.New(name).Parse(string(all[name]))
		check(err)
	}
	// As Helm names the fields of Chart.yaml.
	data := map[string]any{
		"Values":  values,
		"Files":   others,
		"Release": map[string]any{"Name": "ebhost", "Namespace": "default", "Service": "Helm", "IsInstall": true, "Revision": 1},
		"Chart":   map[string]any{"Name": chart["name"], "Version": chart["version"], "AppVersion": chart["appVersion"]},
	}
	rendered := map[string]string{}
	for _, name := range templates {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		text := strings.Builder{}
		check(root.ExecuteTemplate(&text, name, data))
		// Helm does the same: a missing value is empty.
		rendered[name] = strings.ReplaceAll(text.String(), "<no value>", "")
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{"values": values, "rendered": rendered}))
}
