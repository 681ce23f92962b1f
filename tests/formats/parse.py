"""Reads OpenMetrics from standard input with the reference parser; prints name and labels of every sample as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = text_string_to_metric_families(sys.stdin.read())
print(json.dumps([[sample.name, sample.labels] for family in families for sample in family.samples]))
