"""A model that fails is out of use for its instrument, and people are told so, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.app.replay import replay
from streamer.cli.replay_output import summary
from streamer.config.load import load_text
from streamer.pipeline.allowance import Allowance
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.rule_states import RuleState, rule_states
from streamer.pipeline.state import status_document
from streamer.sources.files.file_records import FileInput
from streamer.sources.files.file_source import FileSource

MODEL = """
class Fails:
    def score_one(self, x):
        if x["size"] > 0:
            raise RuntimeError("no such luck")
        return 0.5

    def learn_one(self, x):
        pass
"""

CONFIG = """
source: {files: [{match: "spot_*", format: binance, venue: binance, receive_time: ns}]}
detectors:
  mine: {model: failing_model.Fails, on: trade, features: [size]}
  z: {model: RobustZ, on: trade, features: [size]}
rules: {odd: {when: mine.score > 3}, far: {when: z.score > 1e9}}
"""


def test_a_quarantined_model_is_shown_with_its_reason(
    tmp_path: Path, captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    config = load_text(CONFIG)
    plan = compile_plan(config)
    tasks = []
    source = FileSource([FileInput(captures / "spot_btcusdt.gz", "ns")], 500)
    first = Allowance(limit=2_000)
    tally = replay(plan, source, batch_size=500, watch=lambda step: tasks.append(step.task), allowance=first)
    said = "RuntimeError: no such luck"
    assert tally.quarantined == {"mine": {"binance BTCUSDT": said}}
    assert f"quarantined: mine for binance BTCUSDT: {said}" in summary(tally, {})
    assert rule_states(plan, [status_document(tasks[-1])], timers=True) == [
        RuleState(
            "odd",
            "warming",
            f"mine is ready for 0 of 1 instruments (quarantined for binance BTCUSDT: {said})",
        ),
        RuleState("far", "active"),
    ]
