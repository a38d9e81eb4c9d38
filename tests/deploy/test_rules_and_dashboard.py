"""Prometheus' rules and Grafana's dashboard speak of what `/metrics` has, and of nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from exposed import exposition
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = YAML(typ="safe").load((DEPLOY / "prometheus-rules.yaml").read_text())
TESTS = YAML(typ="safe").load((DEPLOY / "prometheus-rules-test.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]

SCRAPED = {"job", "instance"}
"""Labels that Prometheus itself gives to everything it scrapes."""

STAND_INS = {"$__rate_interval": "5m", "$job": "tapewatch", "$instance": ".*"}
"""What Grafana puts into a query before Prometheus sees it."""

FIXED = {"outcome", "transition", "status", "state", "le"}
"""Labels whose values do not come from a configuration: those that are asked for must be there."""

Samples = Mapping[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """The labels of every sample, by its name."""
    found: dict[str, list[dict[str, str]]] = {"up": [{}]}
    for family in text_string_to_metric_families(exposition(tmp_path_factory.mktemp("exposed"))):
        assert family.samples, f"{family.name} has no sample to compare with"
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


def parts(expression: str) -> list[Any]:
    """Every node of an expression; raises where it is none."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def problems(expression: str, samples: Samples) -> Iterator[str]:
    """What an expression speaks of that is not there."""
    nodes = parts(expression)
    selectors = [node for node in nodes if isinstance(node, promql_parser.VectorSelector)]
    if not selectors:
        yield "names no metric"
    known = set(SCRAPED)
    for selector in selectors:
        if selector.name not in samples:
            yield f"there is no {selector.name}"
            continue
        labels = {label for sample in samples[selector.name] for label in sample} | SCRAPED
        known |= labels
        for label, operator, value in re.findall(r'(\w+)(=~|=|!=|!~)"([^"]*)"', str(selector.matchers)):
            there = {sample.get(label, "") for sample in samples[selector.name]}
            if label not in labels:
                yield f"{selector.name} has no label {label}"
            elif label in FIXED:
                asked = value.split("|") if "~" in operator else [value]
                yield from (f"{label} is never {one}" for one in asked if one not in there)
    for label in named_labels(expression):
        if label not in known:
            yield f"nothing here has a label {label}"
    yield from (f"{name} is no histogram" for name in quantiles(nodes) if not name.endswith("_bucket"))


def named_labels(expression: str) -> list[str]:
    """Labels after `by`, `without` and `on`."""
    lists = re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", expression)
    return [label.strip() for each in lists for label in each.split(",") if label.strip()]


def quantiles(nodes: list[Any]) -> list[str]:
    if not any(
        isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile" for node in nodes
    ):
        return []
    return [node.name for node in nodes if isinstance(node, promql_parser.VectorSelector)]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """Every query of the dashboard, as Prometheus would see it."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    found += [note["expr"] for note in DASHBOARD["annotations"]["list"]]
    for written, given in STAND_INS.items():
        found = [query.replace(written, given) for query in found]
    return found


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_what_there_is(rule: dict[str, Any], samples: Samples) -> None:
    assert list(problems(rule["expr"], samples)) == []


@pytest.mark.parametrize("query", queries())
def test_a_panel_speaks_of_what_there_is(query: str, samples: Samples) -> None:
    assert list(problems(query, samples)) == []


def test_every_metric_can_be_seen_on_the_dashboard(samples: Samples) -> None:
    shown = {name for query in queries() for name in re.findall(r"tapewatch_\w+", query)}
    asked = {name for rule in ALERTS for name in re.findall(r"tapewatch_\w+", rule["expr"])}
    asked |= set(re.findall(r"tapewatch_\w+", json.dumps(DASHBOARD["templating"])))
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples} - {"up"}
    missing = bare - {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown | asked}
    assert missing == set()


def test_an_alert_says_how_bad_it_is_what_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert headings == names, "a runbook each, in the same order"
    for rule in ALERTS:
        assert re.fullmatch(r"Tapewatch[A-Z]\w+", rule["alert"])
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        said = rule["annotations"]
        assert set(said) == {"summary", "description", "runbook"}
        assert said["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert said["description"].endswith(".")


def test_every_alert_is_made_to_fire() -> None:
    tried = [test["name"] for test in TESTS["tests"]]
    assert tried[1:] == [rule["alert"] for rule in ALERTS]
    for test in TESTS["tests"][1:]:
        quiet, firing = test["promql_expr_test"]
        assert [sample["value"] for sample in quiet["exp_samples"] + firing["exp_samples"]] == [0, 1]


def test_series_of_the_trials_are_real_ones(samples: Samples) -> None:
    for test in TESTS["tests"]:
        for given in test["input_series"]:
            (selector,) = parts(given["series"])
            assert selector.name in samples, selector.name
            labels = {label for sample in samples[selector.name] for label in sample} | SCRAPED
            assert set(re.findall(r'(\w+)="', given["series"])) <= labels, given["series"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not installed")
@pytest.mark.parametrize(
    "command", [("check", "rules", "prometheus-rules.yaml"), ("test", "rules", "prometheus-rules-test.yaml")]
)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_whole() -> None:
    assert DASHBOARD["id"] is None, "Grafana gives it one"
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == [
        "datasource",
        "job",
        "instance",
    ]
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    for family in ("Business", "Models", "Latency", "Drift"):
        assert any(row.startswith(family) for row in rows), family
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identities)) == len(identities)
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        unit = panel["fieldConfig"]["defaults"].get("unit") or panel["options"]["yAxis"]["unit"]
        assert unit in ("none", "short", "s", "bytes", "cps", "percentunit"), panel["title"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [source] * (
            1 + len(panel["targets"])
        )
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_no_panel_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_what_is_wrong_is_found(samples: Samples) -> None:
    wrong = {
        "tapewatch_no_such == 0": "there is no tapewatch_no_such",
        'tapewatch_source_up{rule="x"}': "tapewatch_source_up has no label rule",
        'tapewatch_partitions{state="dead"}': "state is never dead",
        "sum by (receiver) (tapewatch_source_up)": "nothing here has a label receiver",
        "histogram_quantile(0.9, rate(tapewatch_batch_seconds_count[5m]))": "is no histogram",
    }
    for expression, problem in wrong.items():
        assert any(problem in found for found in problems(expression, samples)), expression
    with pytest.raises(ValueError):
        parts("sum by (rule (up)")
