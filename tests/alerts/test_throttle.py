"""How many deliveries may be on their way to a receiver, by what became of others."""

from __future__ import annotations

from alerts.receivers.receiver import RetryableError
from streamer.notify.retry_pace import RetryPace
from streamer.notify.throttle import Throttle

PACE = RetryPace(deferral_s=1.0, failures_in_a_row=3, calm_s=30.0)


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.throttle = Throttle(PACE, 4, lambda: self.now)

    def fail(self, began: float | None = None, **how: object) -> None:
        self.throttle.failed(RetryableError("x", **how), self.now if began is None else began)  # type: ignore[arg-type]


def test_a_pause_that_was_asked_for_is_one_for_all_and_then_they_come_back_one_by_one() -> None:
    world = World()
    assert (world.throttle.allowed(), world.throttle.pause_s()) == (4, 0.0)
    world.fail(retry_after_s=2.0)
    assert world.throttle.pause_s() == 2.0
    world.now += 2.0
    assert (world.throttle.allowed(), world.throttle.pause_s()) == (1, 0.0)
    world.throttle.succeeded()
    assert world.throttle.allowed() == 1, "one that arrives does not mean that four do"
    world.now += 29.0
    assert world.throttle.allowed() == 1, "it counts from the end of the pause"
    world.now += 1.0
    assert world.throttle.allowed() == 2
    world.now += 600.0
    assert world.throttle.allowed() == 4


def test_who_asks_for_no_pause_gets_longer_ones_all_the_same() -> None:
    world = World()
    for pause in (1.0, 2.0, 4.0):
        world.fail(retry_after_s=0.0)
        assert world.throttle.pause_s() == pause
        world.now += pause
    world.fail(retry_after_s=60.0)
    assert world.throttle.pause_s() == 60.0


def test_those_that_were_on_their_way_together_count_as_one_failure() -> None:
    world = World()
    for _ in range(4):
        world.fail(began=99.0, everything=True)
        world.now += 0.01
    assert 0.9 < world.throttle.pause_s() <= 1.0
    assert world.throttle.allowed() == 1
    world.now += 1.0
    world.fail(everything=True)
    assert world.throttle.pause_s() == 2.0, "it doubles with each time that it was tried"
    world.now += 2.0
    world.throttle.succeeded()
    assert (world.throttle.allowed(), world.throttle.probing) == (4, False)


def test_an_alert_that_is_not_taken_pauses_nothing_until_it_is_the_receiver() -> None:
    world = World()
    for pause, probing in ((0.0, False), (0.0, False), (4.0, True)):
        world.fail()
        assert (world.throttle.pause_s(), world.throttle.probing) == (pause, probing)
        world.now += 0.1


def test_a_pause_that_was_asked_of_edits_holds_nothing_else() -> None:
    world = World()
    refused = RetryableError("ratelimited", 30.0, everything=True)
    refused.edits = True
    for _ in range(4):
        world.throttle.failed(refused, world.now)
    assert (world.throttle.pause_s(), world.throttle.probing, world.throttle.allowed()) == (0.0, False, 4)
    assert world.throttle.edits_pause_s() == 30.0


def test_only_a_pause_that_nobody_asked_for_is_cut_short_and_not_at_once() -> None:
    world = World()
    for _ in range(9):
        world.fail(everything=True)
    assert (world.throttle.pause_s(), world.throttle.cut_short_s()) == (256.0, 10.0)
    world.now += 11.0
    assert world.throttle.cut_short_s() == 0.0
    world.throttle.cut_short()
    assert (world.throttle.pause_s(), world.throttle.probing) == (0.0, True)
    world.fail(retry_after_s=60.0)
    world.now += 11.0
    assert world.throttle.cut_short_s() is None
