"""Show b: every rule that the shipped example can feed fires on an event planted for it, not on the calm."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemon import EXAMPLES
from planted import PLANTED, write_recording

from streamer.app.replay import replay
from streamer.config.load import load
from streamer.pipeline.compile import compile_plan
from streamer.sources.recording.recording_source import RecordingSource

CALM_S, SILENCE_S = 20, 40


def fired(folder: Path, rule: str | None, silence_s: int) -> set[str]:
    recording = folder / "planted.jsonl"
    write_recording(recording, "spot.planted", rule, silence_s=silence_s)
    plan = compile_plan(load(EXAMPLES / "binance.yaml"))
    tally = replay(plan, RecordingSource(recording, 500), batch_size=500, watch=lambda work: None)
    assert not tally.dead
    return set(tally.fired)


def test_every_rule_has_an_event_planted_for_it() -> None:
    plan = compile_plan(load(EXAMPLES / "binance.yaml"))
    assert {rule.name for rule in plan.rules} - set(plan.inactive) == set(PLANTED)


def test_nothing_fires_in_the_calm(tmp_path: Path) -> None:
    assert fired(tmp_path, None, CALM_S) == set()


@pytest.mark.parametrize("rule", PLANTED)
def test_the_planted_event_fires_its_rule(rule: str, tmp_path: Path) -> None:
    assert rule in fired(tmp_path, rule, SILENCE_S if rule == "stale_feed" else CALM_S)
