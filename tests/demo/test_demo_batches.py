"""The demonstration's alerts do not depend on how its records are cut into batches."""

from __future__ import annotations

import pytest

from streamer.app.replay import replay
from streamer.config.load import load_text
from streamer.demo.configuration import DEMO_CONFIG
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.runner_context import StepResult
from streamer.sources.simulator import INSTRUMENTS, SimulatorSource


def bodies(batch_size: int) -> list[bytes]:
    found: list[bytes] = []

    def watch(step: StepResult) -> None:
        found.extend(transition.body for transition in step.outcome.transitions)

    source = SimulatorSource(2, 600, per_kind=1, partitions=1, specs=INSTRUMENTS[5:9])
    tally = replay(compile_plan(load_text(DEMO_CONFIG)), source, batch_size=batch_size, watch=watch)
    assert tally.dead == {}
    assert tally.late == 0
    return found


@pytest.mark.long  # of the fold alone, test_batch_sizes shows it
def test_alerts_are_the_same_to_the_byte() -> None:
    whole = bodies(5000)
    assert {b'"rule":"spoofing"' in body for body in whole} == {True, False}
    assert any(b'"rule":"quote_stuffing"' in body for body in whole)
    assert any(b'"rule":"sequence_gap"' in body for body in whole)
    assert bodies(13) == whole
