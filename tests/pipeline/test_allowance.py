"""A replay folds records when they are due, and no more than it was asked to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import TapewatchError
from streamer.messages.records import NO_TIME
from streamer.pipeline.allowance import Allowance

SECOND = 10**9


class Clock:
    """Time that passes by waiting alone."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds < 1
        self.now += seconds


def paced(clock: Clock, speed: float, limit: int | None = None) -> Allowance:
    return Allowance(limit, speed, clock=lambda: clock.now, sleep=clock.sleep)


def folded_at(times: list[int], speed: float, piece: int) -> list[float]:
    """When each record is folded, in seconds since the first."""
    clock, at = Clock(), list[float]()
    allowance = paced(clock, speed)
    for first in range(0, len(times), piece):
        left = np.array(times[first : first + piece], np.int64)
        while len(left):
            count = allowance.next(left)
            at += [clock.now - 100.0] * count
            left = left[count:]
    return at


@given(
    st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=30).map(
        lambda steps: np.cumsum(steps).tolist()
    ),
    st.sampled_from([0.5, 1.0, 20.0]),
    st.integers(1, 9),
)
def test_each_record_is_folded_when_it_is_due(times: list[int], speed: float, piece: int) -> None:
    for time, at in zip(times, folded_at(times, speed, piece), strict=True):
        due = (time - times[0]) / SECOND / speed
        assert due - 0.06 < at < due + 0.06


def test_a_lie_keeps_nobody_waiting() -> None:
    times = [0, SECOND, 10**18, 2 * SECOND, int(NO_TIME), 3 * SECOND]
    assert folded_at(times, 1.0, 6) == pytest.approx([0, 1, 2, 2, 2, 3], abs=0.06)


def test_what_has_no_time_cannot_be_paced() -> None:
    allowance = paced(Clock(), 1.0)
    untimed = np.full(60, NO_TIME)
    assert allowance.next(untimed) == 60
    with pytest.raises(TapewatchError, match="no times, neither of receipt nor of events"):
        allowance.next(untimed)


def test_a_limit_ends_it_and_so_does_a_stop() -> None:
    clock = Clock()
    allowance = paced(clock, 1.0, limit=3)
    times = np.array([0, 0, SECOND, SECOND])
    assert [allowance.next(times), allowance.next(times[2:])] == [2, 1]
    assert (allowance.ended(), allowance.next(times)) == (True, 0)
    stopped = Allowance(
        None, 1.0, stopped=lambda: clock.now > 110, clock=lambda: clock.now, sleep=clock.sleep
    )
    assert stopped.next(np.array([0])) == 1
    assert stopped.next(np.array([3600 * SECOND])) == 0
    assert clock.now == pytest.approx(110, abs=0.1)
