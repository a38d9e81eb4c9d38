"""What the pages under docs/ list is what there is, and their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_pages import NAMES, PAGES, ROOT, anchors, coded, links, section, table, words
from pydantic import BaseModel

from alerts import service_alert
from alerts.catalogue.files import read_set, set_names
from alerts.language.symbols import KIND_LABELS
from alerts.receivers.registry import RECEIVERS
from alerts.receivers.slack import SlackSettings
from alerts.receivers.webhook import WebhookSettings
from alerts.rule_settings import RuleSettings
from detectors.detector_settings import DetectorSettings
from detectors.features import catalogue
from detectors.features.baselines import STATISTICS
from detectors.fields import FIELDS as BASELINE_FIELDS
from detectors.models import MODELS, STATUS_NAMES
from streamer.cli.app import application
from streamer.config.keep_settings import KeepDeadLetters, KeepSettings
from streamer.config.serve_settings import ServeSettings
from streamer.config.settings import (
    CheckpointSettings,
    EngineSettings,
    JournalSettings,
    LogSettings,
    NearMissSettings,
    Settings,
)
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import FIELDS, FIELDS_BY_KIND
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.kafka.kafka_settings import KafkaSettings, TopicSettings
from streamer.sources.kafka.security import SaslSettings, TlsSettings

LINKING = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
WRITTEN_OUT: dict[str, type[BaseModel]] = {
    "engine": EngineSettings,
    "journal": JournalSettings,
    "keep": KeepSettings,
    "keep.dead_letters": KeepDeadLetters,
    "near_misses": NearMissSettings,
    "checkpoint": CheckpointSettings,
    "log": LogSettings,
    "serve": ServeSettings,
}
"""Sections whose keys stand in the table of all keys."""


def defaults(page: str, heading: str) -> dict[str, str]:
    """The second cell of a table's rows by the words in the first."""
    return {key: row[1] for row in table(page, heading) for key in coded(row[0])}


def keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def plain_defaults(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        value = field.default
        if isinstance(value, str | int | float):
            yield (
                f"{prefix}{field.alias or name}",
                f"`{str(value).lower() if isinstance(value, bool) else value}`",
            )


def test_every_key_of_a_rule_and_its_default() -> None:
    listed = defaults("rules", "Rules")
    assert set(listed) == keys(RuleSettings)
    for key, value in plain_defaults(RuleSettings):
        assert listed[key] == value, key


def test_every_field_of_an_event_and_its_words() -> None:
    for page in ("rules", "configuration"):
        assert set(FIELDS) <= words(PAGES[page])
    for field in FIELDS.values():
        assert not field.members or f"one of {', '.join(field.members)}" in PAGES["rules"], field.name
    common = FIELDS_BY_KIND["heartbeat"]
    rows = {row[0]: row for row in table("configuration", "Formats")}
    for kind, fields in FIELDS_BY_KIND.items():
        assert words(" ".join(rows[kind][1:])) == fields - common, kind


def test_every_rule_of_the_catalogue() -> None:
    listed: dict[str, list[str]] = {}
    current = ""
    for name, rule, _, references in table("rules", "The catalogue"):
        current = (coded(name) or [current])[0]
        listed.setdefault(current, []).extend(coded(rule))
        told = " ".join(read_set(current)[coded(rule)[0]]["references"])
        assert all(reference in told for reference in references.split("; ")), references
    assert listed == {name: list(read_set(name)) for name in set_names()}


def test_every_feature_its_unit_and_what_feeds_it() -> None:
    expected = [
        [
            f"`{entry.stem}_W`" if entry.windowed else f"`{entry.stem}`",
            entry.unit.replace("_", " "),
            fed_by(entry.fed_by),
        ]
        for entry in catalogue()
    ]
    assert [row[:3] for row in table("features", "The features")] == expected


def fed_by(kinds: frozenset[int]) -> str:
    names = [KIND_LABELS[kind] for kind in sorted(kinds)]
    events = [name for name in names if name != "timer"]
    told = "every kind" if len(events) == len(KIND_LABELS) - 1 else ", ".join(events)
    return f"{told}, timer" if "timer" in names else told


def test_every_statistic_field_model_and_state() -> None:
    text = PAGES["features"]
    listed = {coded(row[0])[0] for row in table("features", "Baselines: what is usual")}
    assert listed == {f"X_{statistic}_H" for statistic in STATISTICS}
    fields = re.search(r"these fields of events:\s+`([^`]+)`", text)
    assert fields is not None
    assert set(fields[1].split()) == set(BASELINE_FIELDS)
    for name in (*MODELS, *STATUS_NAMES):
        assert f"**{name}**" in text
    assert set(defaults("features", "Detectors")) == keys(DetectorSettings)


def test_every_dead_letter_reason() -> None:
    assert list(defaults("configuration", "Reasons of dead letters")) == [reason.value for reason in Reason]


def test_every_key_of_the_configuration_and_its_default() -> None:
    expected = dict(plain_defaults(Settings))
    for name, model in WRITTEN_OUT.items():
        expected |= dict(plain_defaults(model, f"{name}."))
    listed = defaults("configuration", "Every key")
    assert set(listed) == (keys(Settings) - WRITTEN_OUT.keys()) | expected.keys()
    assert {key: listed[key] for key in expected} == expected


def test_every_key_of_sources_and_its_default() -> None:
    kafka = defaults("configuration", "`source.kafka`")
    assert set(kafka) == keys(KafkaSettings)
    for key, value in plain_defaults(KafkaSettings):
        assert kafka[key] == value, key
    both = defaults("configuration", "`source.topics` and `source.files`")
    assert set(both) == keys(TopicSettings) | keys(FileSourceSettings)
    shown = section("configuration", "TLS and SASL")
    for key in keys(TlsSettings) | keys(SaslSettings):
        assert f" {key}: " in shown, key


def test_every_kind_of_receiver_and_its_keys() -> None:
    for kind in RECEIVERS:
        assert re.search(rf"^### `{kind}`", PAGES["delivery"], re.MULTILINE), kind
    slack, hook = defaults("delivery", "`slack` with a bot token"), defaults("delivery", "`webhook`")
    assert set(slack) == keys(SlackSettings) - {"incoming_webhook", "accepts"}
    assert set(hook) == keys(WebhookSettings)
    for listed, model in ((slack, SlackSettings), (hook, WebhookSettings)):
        for key, value in plain_defaults(model):
            assert listed[key] == value, key


def test_every_alert_about_the_service() -> None:
    assert set(defaults("alerts", "An alert")) == set(service_alert.SERVICE_RULES)


def commands() -> dict[str, Any]:
    return dict(typer.main.get_command(application()).commands)  # type: ignore[attr-defined]


def test_every_command() -> None:
    headings = re.findall(r"^## (.+)$", PAGES["commands"], re.MULTILINE)
    assert sorted(headings) == sorted(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_of_a_command(name: str) -> None:
    told = section("commands", name) + section("commands", "")
    for parameter in commands()[name].params:
        for option in parameter.opts:
            assert not option.startswith("--") or option in told, option


def test_no_option_that_there_is_not() -> None:
    spoken = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", " ".join(PAGES.values())))
    everything = [typer.main.get_command(application()), *commands().values()]
    known = {option for command in everything for one in command.params for option in one.opts}
    assert spoken <= known | {"--help"}


@pytest.mark.parametrize("path", LINKING, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for there, anchor in links(path):
        assert there.exists(), there
        assert not anchor or anchor in anchors(there), anchor


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_short_enough_to_be_read(name: str) -> None:
    lines = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.MULTILINE | re.DOTALL).splitlines()
    assert len(PAGES[name].splitlines()) <= 250
    assert not [line for line in lines if len(line) > 120 and not line.startswith("|")]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_as_code_is_on_one_line(name: str) -> None:
    text = re.sub(r"^```.*?^```$", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    assert not [line for line in text.splitlines() if line.count("`") % 2]


def test_every_test_that_holds_a_promise_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 50
    assert named <= there
