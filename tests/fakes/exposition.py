"""What a scrape shows, read and looked over: names, units, help, labels, as Prometheus wants them.

The rules are those of https://prometheus.io/docs/practices/naming/ that `promtool check metrics` holds.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OTHER_UNITS = frozenset(
    {"s", "ms", "us", "ns", "sec", "minute", "minutes", "hour", "hours", "day", "days", "milliseconds"}
    | {"microseconds", "nanoseconds", "b", "kb", "mb", "gb", "kib", "mib", "gib", "kilobytes", "megabytes"}
    | {"bits", "percent", "bps"}
)
_BASE_UNITS = ("seconds", "bytes")
_KINDS = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})


def fetch(address: tuple[str, int], path: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def value(text: str, name: str, **labels: str) -> float | None:
    """One sample's value, or the sum over those that have these labels; None where there is none."""
    of_this_name = "".join(
        line for line in text.splitlines(keepends=True) if line.startswith((f"{name} ", f"{name}{{"))
    )
    found = [
        sample.value
        for family in text_string_to_metric_families(of_this_name)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


def lint(text: str) -> list[str]:
    """Everything that is wrong with an exposition."""
    declared = Counter(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    problems = [f"{name}: declared {count} times" for name, count in declared.items() if count > 1]
    for family in text_string_to_metric_families(text):
        problems += [f"{family.name}: {problem}" for problem in _of_family(family)]
    return problems


def _of_family(family: Metric) -> Iterator[str]:
    parts = family.name.split("_")
    if not _NAME.fullmatch(family.name):
        yield "not small words joined by _"
    if not family.documentation.strip().endswith("."):
        yield "no help, or none that is a sentence"
    if family.type not in _KINDS:
        yield f"of no kind: {family.type}"
    if set(parts) & (_KINDS - {"summary"}):
        yield "its kind is part of its name"
    if set(parts) & _OTHER_UNITS:
        yield "not in base units"
    for unit in _BASE_UNITS:
        if unit in parts and parts[-1] != unit:
            yield f"{unit} is not at the end"
    if family.type != "counter" and family.name.endswith("_total"):
        yield "only a counter ends in _total"
    if family.type == "counter" and not all(sample.name.endswith("_total") for sample in family.samples):
        yield "a counter ends in _total"
    if family.type not in ("histogram", "summary") and family.name.endswith(("_count", "_sum", "_bucket")):
        yield "ends like a part of a histogram"
    seen = Counter((sample.name, *sorted(sample.labels.items())) for sample in family.samples)
    yield from (f"{key} comes {count} times" for key, count in seen.items() if count > 1)
    if family.type == "histogram":
        yield from _of_histogram(family)


def _of_histogram(family: Metric) -> Iterator[str]:
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple(sorted((name, text) for name, text in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            series.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[labels] = sample.value
    for labels, buckets in series.items():
        values = [count for _, count in sorted(buckets)]
        if values != sorted(values) or max(bound for bound, _ in buckets) != float("inf"):
            yield f"{labels}: buckets that do not add up"
        if values[-1] != counts.get(labels):
            yield f"{labels}: the last bucket is not the count"
