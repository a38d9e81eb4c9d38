"""Show b: every rule of the shipped example fires on an event planted for it, and not on the calm around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemon import EXAMPLES, configure, tapewatch
from planted import PLANTED, write_recording
from streamer.config.load import load

CALM_S, SILENCE_S = 20, 40


def fired(folder: Path, rule: str | None, silence_s: int) -> set[str]:
    config = configure("binance.yaml", folder)
    recording, alerts = folder / "planted.jsonl", folder / "alerts.jsonl"
    write_recording(recording, "spot.planted", rule, silence_s=silence_s)
    tapewatch("replay", "-q", "-c", config, recording, "--alerts", alerts)
    found = [json.loads(line) for line in alerts.read_bytes().splitlines()]
    return {alert["rule"] for alert in found if alert["transition"] == "fired"}


def test_every_rule_has_an_event_planted_for_it() -> None:
    assert set(load(EXAMPLES / "binance.yaml").settings.rules.enabled) == set(PLANTED)


def test_nothing_fires_in_the_calm(tmp_path: Path) -> None:
    assert fired(tmp_path, None, CALM_S) == set()


@pytest.mark.parametrize("rule", PLANTED)
def test_the_planted_event_fires_its_rule(rule: str, tmp_path: Path) -> None:
    assert rule in fired(tmp_path, rule, SILENCE_S if rule == "stale_feed" else CALM_S)
