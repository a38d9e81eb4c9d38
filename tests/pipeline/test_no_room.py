"""A task that found no memory for new instruments finds it with the next batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from market_bytes import LOG, T0, S, records, trade
from pipeline_world import plan_of

from streamer.decoding.formats import DecodeContext
from streamer.messages.batch import Decoded
from streamer.pipeline.task import Task, Timer

PLAN = plan_of(max_instruments=1_000)


def trades(count: int) -> Decoded:
    feed = PLAN.feed(LOG.topic)
    assert feed is not None
    found = [(T0 + at * S, trade(T0 + at * S, 100.0, 1.0, f"S{at}")) for at in range(count)]
    return feed.format.decode(records(found), DecodeContext(LOG.topic, feed.venue))


@pytest.mark.parametrize("full", ["episodes", "guard"])
@pytest.mark.parametrize("made", [lambda: trades(600), lambda: trades(3), lambda: Timer(1, T0 + 700 * S)])
def test_room_is_made_before_anything_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[], Decoded | Timer], full: str
) -> None:
    next_one = made()
    task, untroubled = Task(PLAN, LOG), Task(PLAN, LOG)
    for each in (task, untroubled):
        each.step(trades(4))
    part = task.guard if full == "guard" else task.episodes[-1]
    grow, failed = part.grow, list[int]()

    def fails_once(n_slots: int) -> None:
        if not failed and n_slots == (600 if full == "episodes" else 300):
            failed.append(n_slots)
            raise MemoryError("no room")
        grow(n_slots)

    monkeypatch.setattr(part, "grow", fails_once)
    with pytest.raises(MemoryError):
        task.step(trades(600))
    more = trades(600).batch
    untroubled.slots.table(more)
    for code in range(failed[0]):
        untroubled.slots.add(more, code)
    found, expected = task.step(next_one), untroubled.step(next_one)
    assert task.guard.watermark == untroubled.guard.watermark
    assert len(found.scores) == len(expected.scores)
    assert [told.body for told in found.transitions] == [told.body for told in expected.transitions]
