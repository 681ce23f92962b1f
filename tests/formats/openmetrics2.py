"""Reads OpenMetrics 2.0 from standard input by the grammar of the specification (2.0.0-rc0, section "ABNF"), and checks what its text demands beyond that
of families, histograms and start times. Prints every sample of text 0.0.4 that the exposition stands for as JSON: name, labels, value.

Written from the specification alone, for a second opinion beside openmetrics2.rs. Each expression below has the name of its rule.
"""

import json
import re
import sys

SIGN = r"[+-]"
REALNUMBER = rf"(?:{SIGN}?[0-9]+(?:\.[0-9]*)?(?:[eE]{SIGN}?[0-9]+)?|{SIGN}?[0-9]*\.[0-9]+(?:[eE]{SIGN}?[0-9]+)?)"
NUMBER = rf"(?:{REALNUMBER}|{SIGN}?(?i:infinity|inf)|(?i:nan))"
POSITIVE_INTEGER = r"0*[1-9][0-9]*"
NON_NEGATIVE_INTEGER = rf"(?:\+?0+|\+?{POSITIVE_INTEGER})"
INTEGER = rf"(?:{SIGN}?0+|{SIGN}?{POSITIVE_INTEGER})"

NORMAL_CHAR = r'[^\n"\\]'
ESCAPED_CHAR = rf'(?:{NORMAL_CHAR}|\\["\\]|\\{NORMAL_CHAR})'
QUOTED = rf'"{ESCAPED_CHAR}+"'
METRICNAME = r"[A-Za-z_:][A-Za-z0-9_:]*"
LABEL = rf'(?:[A-Za-z_][A-Za-z0-9_]*|{QUOTED})="{ESCAPED_CHAR}*"'
LABELS_IN_BRACES = rf"\{{(?:{LABEL}(?:,{LABEL})*)?\}}"
NAME_AND_LABELS_IN_BRACES = rf"\{{{QUOTED}(?:,{LABEL})*\}}"


def list_of(item):
    return rf"{item}(?:,{item})*"


CH_LE_COUNTS = rf"(?:-Inf:{NUMBER}|{REALNUMBER}:{NUMBER})(?:,{REALNUMBER}:{NUMBER})*"
CLASSIC_BUCKETS = rf"bucket:\[(?P<classic>(?:{CH_LE_COUNTS},)?\+Inf:{NUMBER})\]"
NH_SPANS = rf"{INTEGER}:{POSITIVE_INTEGER}(?:,{NON_NEGATIVE_INTEGER}:{POSITIVE_INTEGER})*"


def nh_side(side):
    return (
        rf"(?:,{side}_spans:\[(?P<{side}_spans>(?:{NH_SPANS})?)\],{side}_buckets:\[(?P<{side}_buckets>(?:{list_of(NUMBER)})?)\])?"
    )


NATIVE_BUCKETS = (
    rf"schema:(?P<schema>{INTEGER}),zero_threshold:(?P<zero_threshold>{REALNUMBER}),zero_count:(?P<zero_count>{NUMBER})"
    + nh_side("negative")
    + nh_side("positive")
)
# `histogram-buckets`, with one group for the classic buckets of both alternatives.
HISTOGRAM_VALUE = rf"count:(?P<count>{NUMBER}),sum:(?P<sum>{NUMBER}),(?:{NATIVE_BUCKETS}(?:,{CLASSIC_BUCKETS})?|{CLASSIC_BUCKETS.replace('<classic>', '<classic_alone>')})"
QUANTILES = list_of(rf"{REALNUMBER}:{NUMBER}")
SUMMARY_VALUE = rf"count:{NUMBER},sum:{NUMBER},quantile:\[(?:{QUANTILES})?\]"

TIMESTAMP = REALNUMBER
EXEMPLAR = rf" # {LABELS_IN_BRACES} {NUMBER} {TIMESTAMP}"
METRIC = re.compile(
    rf"(?:(?P<name>{METRICNAME})(?P<labels>{LABELS_IN_BRACES})?|{NAME_AND_LABELS_IN_BRACES}) "
    rf"(?:(?P<number>{NUMBER})|\{{(?P<composite>g?count:[^{{}}]*)\}})"
    rf"(?: (?P<timestamp>{TIMESTAMP}))?(?: st@(?P<start>{TIMESTAMP}))?(?P<exemplars>(?:{EXEMPLAR})*)"
)
HISTOGRAM = re.compile(HISTOGRAM_VALUE)
METRIC_DESCRIPTOR = re.compile(
    rf"# (?:TYPE (?P<type_of>{METRICNAME}|{QUOTED}) (?P<type>counter|gauge|histogram|gaugehistogram|stateset|info|summary|unknown)"
    rf"|HELP (?P<help_of>{METRICNAME}|{QUOTED}) {ESCAPED_CHAR}*"
    rf"|UNIT (?P<unit_of>{METRICNAME}|{QUOTED}) (?P<unit>[A-Za-z0-9_:]*))"
)


def labels_of(text):
    found = re.findall(rf'({METRICNAME})="({ESCAPED_CHAR}*)"', text or "")
    unescaped = {name: re.sub(r"\\(.)", lambda of: {"n": "\n"}.get(of[1], of[1]), value) for name, value in found}
    assert len(unescaped) == len(found), "a label twice"
    return unescaped


def side_of(found, side):
    """Sum of the counts on one side of zero."""
    if found[f"{side}_buckets"] is None:
        return 0
    counts = [float(count) for count in found[f"{side}_buckets"].split(",") if count]
    spans = [span.split(":") for span in found[f"{side}_spans"].split(",") if span]
    assert sum(int(length) for _, length in spans) == len(counts), "as many buckets as the spans say"
    return sum(counts)


def expanded(name, labels, composite):
    """The samples that a histogram has in text 0.0.4, and the checks of its text."""
    found = HISTOGRAM.fullmatch(composite)
    assert found, "no histogram-value"
    count = float(found["count"])
    if found["schema"] is not None:
        assert -4 <= int(found["schema"]) <= 8 and float(found["zero_threshold"]) >= 0, "schema or threshold"
        native = float(found["zero_count"]) + side_of(found, "negative") + side_of(found, "positive")
        assert native == count, f"native buckets hold {native} of {count}"
    classic = found["classic"] or found["classic_alone"]
    pairs = [pair.split(":") for pair in classic.split(",")] if classic else []
    bounds, counts = [float(bound) for bound, _ in pairs], [float(value) for _, value in pairs]
    assert bounds == sorted(set(bounds)) and counts == sorted(counts), "buckets are in order and cumulative"
    assert not counts or counts[-1] == count, "the bucket +Inf counts all"
    assert "le" not in labels, "`le` is the buckets' own label"
    for bound, value in pairs:
        yield f"{name}_bucket", {**labels, "le": bound}, value
    yield f"{name}_sum", labels, found["sum"]
    yield f"{name}_count", labels, found["count"]


def read(text):
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""] and "\r" not in text, "the end"
    families, series, samples = {}, set(), []
    family, keywords, kind, has_metrics = None, [], "unknown", False
    for line in lines[:-2]:
        try:
            if line.startswith("#"):
                found = METRIC_DESCRIPTOR.fullmatch(line)
                assert found, "no metric-descriptor"
                name = found["type_of"] or found["help_of"] or found["unit_of"]
                if name != family or has_metrics:
                    assert name not in families, "a family twice, or interleaved"
                    family, keywords, kind, has_metrics = name, [], "unknown", False
                    families[name] = None
                keyword = line.split(" ")[1]
                assert keyword not in keywords, "metadata twice"
                keywords.append(keyword)
                kind = found["type"] or kind
                assert not (kind in ("info", "stateset") and found["unit"]), "a unit of what has none"
                continue
            found = METRIC.fullmatch(line)
            assert found, "no metric"
            name, labels = found["name"], labels_of(found["labels"])
            assert name == family, "a metric has its family's name"
            has_metrics = True
            identity = (name, tuple(sorted(labels.items())))
            assert identity not in series, "a series twice"
            series.add(identity)
            assert kind != "info" or name.endswith("_info"), "the name of an info"
            assert not found["start"] or kind in ("counter", "histogram", "summary"), "a start time of what never starts"
            assert not found["exemplars"] or kind in ("counter", "histogram", "gaugehistogram"), "an exemplar of what has none"
            if kind == "histogram":
                assert found["composite"], "a histogram has a composite value"
                samples += expanded(name, labels, found["composite"])
            else:
                assert found["number"], "only histograms of this host have composite values"
                assert kind != "counter" or float(found["number"]) >= 0, "a counter below 0, or NaN"
                samples.append((name, labels, found["number"]))
        except AssertionError as error:
            sys.exit(f"{error}: {line}")
    return samples


print(json.dumps(read(sys.stdin.buffer.read().decode("utf-8"))))
