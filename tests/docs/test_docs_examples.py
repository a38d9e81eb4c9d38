"""What the pages under docs/ show is what happens: configurations load, errors and alerts read so."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import forked
import pytest
from doc_pages import NAMES, PAGES, ROOT, blocks, coded, section, table
from standardwebhooks import Webhook

from alerts.language.condition import compile_condition
from alerts.language.errors import ExpressionError
from alerts.language.symbols import KIND_LABELS
from detectors.detector_settings import DetectorSettings
from streamer.config.errors import ConfigError
from streamer.config.load import load
from streamer.config.nodes import Mapping
from streamer.config.settings import Settings
from streamer.config.yaml_tree import parse
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import DecodeContext, build_format
from streamer.messages.records import Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.symbols import PlanSymbols

# what a fragment may take for granted
SOURCE = "source: {kafka: {bootstrap: localhost:9092}, topics: [{match: trades, format: tapewatch}]}\n"
RECEIVERS = "receivers: {desk: {console: {}}, ops: {file: {path: alerts.jsonl}}}\n"
TAPE = DetectorSettings(model="HalfSpaceTrees", features=("return_bps_10s",))

CONDITIONS = ("Conditions", "When something is missing", "Which events are evaluated")
"""Sections with conditions in the text."""

ALL_YAML = [
    pytest.param(text, id=f"{name}-{number}")
    for name in NAMES
    for number, text in enumerate(blocks(name, "yaml"))
]


@pytest.mark.parametrize("text", ALL_YAML)
def test_configurations_load(text: str, tmp_path: Path) -> None:
    root = parse(text)
    assert isinstance(root, Mapping)
    keys = set(root.entries)
    assert keys <= set(Settings.model_fields)
    path = tmp_path / "tape.yaml"
    path.write_text(text + ("" if "source" in keys else SOURCE) + ("" if "receivers" in keys else RECEIVERS))
    config = load(path)
    compile_plan(config)
    settings = config.settings
    assert ("rules" in keys) == bool(settings.rules.enabled)


def test_every_page_about_the_configuration_shows_some() -> None:
    assert all(blocks(name, "yaml") for name in NAMES if name not in ("alerts", "commands"))


def test_errors_are_as_they_print() -> None:
    found = table("rules", "Errors")
    assert len(found) > 10
    for when, said in found:
        with pytest.raises(ExpressionError) as caught:
            compile_condition(coded(when)[0], PlanSymbols({"tape": TAPE}))
        assert caught.value.message == coded(said)[0]


def test_an_error_with_its_place(tmp_path: Path) -> None:
    line = re.search(r"^tape\.yaml:.*$", PAGES["rules"], re.MULTILINE)
    path = tmp_path / "tape.yaml"
    path.write_text(f"{SOURCE}{RECEIVERS}\n\n\nrules:\n  mine:\n    when: abs(retrun_bps_10s) > 25bps\n")
    with pytest.raises(ConfigError) as caught:
        compile_plan(load(path))
    assert line is not None
    assert str(caught.value).replace(str(path), "tape.yaml") == line[0]


def test_conditions_are_evaluated_on_the_kinds_that_are_named() -> None:
    found = table("rules", "Which events are evaluated")
    assert len(found) > 3
    for condition, kinds in found:
        compiled = compile_condition(coded(condition)[0], PlanSymbols({}))
        assert ", ".join(KIND_LABELS[kind] for kind in sorted(compiled.kinds)) == kinds


def test_conditions_within_the_text_compile() -> None:
    told = [piece for heading in CONDITIONS for piece in coded(section("rules", heading))]
    found = [piece for piece in told if re.search(r"\w (>|<|==|!=|in) \S", piece) and "[a, b]" not in piece]
    assert len(found) > 12
    for condition in found:
        compile_condition(condition, PlanSymbols({"tape": TAPE}))


def test_an_event_of_the_public_schema() -> None:
    (event,) = blocks("configuration", "json")
    tapewatch = build_format(FormatSettings.model_validate("tapewatch"))
    decoded = tapewatch.decode([Record(0, event.encode())], DecodeContext("events", None))
    assert (len(decoded.batch), decoded.dead) == (1, ())


def test_webhooks_are_verified_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("delivery", "python")
    made: dict[str, Any] = {}
    exec(compile(code, "delivery.md", "exec"), made)
    receive, seen = made["receive"], set[str]()
    key = base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
    (body,) = blocks("alerts", "json")
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "a-0",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key).sign("a-0", now, body),
    }
    assert receive(headers, body.encode(), f"whsec_{key}", seen) == 204
    assert receive(headers, body.encode(), key, seen) == 204
    assert capsys.readouterr().out.count("odd_tape") == 1
    assert receive(headers, body.encode() + b" ", key, seen) == 401


def test_alerts_are_as_a_replay_raises_them() -> None:
    command = ["replay", "-c", "examples/binance.yaml", "tests/data/spot_btcusdt.gz", "--alerts", "-"]
    done = forked.tapewatch(*command, folder=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(blocks("alerts", "json")[0]) in map(json.loads, done.stdout.splitlines())
    told = done.stderr.splitlines()
    shown = [*blocks("commands", "")[0].splitlines(), *blocks("delivery", "")[0].splitlines()]
    assert len(shown) > 6
    for line in shown:
        assert line in told or line.startswith("$") or line == "…" or " per second)" in line
