"""How far behind the end of its log an alert was found: kept beside it, the same for any batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, S, market
from pipeline_world import World, cycle

from streamer.messages.records import NO_TIME, Chunk

DAYS_S = 2 * 86_400


@dataclass
class Dated(ListSource):
    """A source that knows the time of the newest record of its log."""

    newest_ns: int = NO_TIME
    most_behind_s: float = inf

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        newest_ns, most_s = self.newest_ns, self.most_behind_s
        return [replace(each, newest_ns=newest_ns, most_behind_s=most_s) for each in super().poll(timeout_s)]


RECORDS = market(300, seed=11)
TIMES = {record.offset: record.timestamp for record in RECORDS}
TWO_DAYS_ON = RECORDS[-1].timestamp + DAYS_S * S


def log() -> MemoryLog:
    return MemoryLog(LOG, RECORDS)


def expected(offset: int, newest_ns: int) -> float:
    return max(newest_ns - TIMES[offset], 0) / S


def behind(world: World) -> list[tuple[str, int, int | None, float | None]]:
    return world.ask(
        "SELECT o.alert_id, o.number, d.offset, o.behind_s FROM outbox o JOIN decisions d "
        "USING (alert_id, number) WHERE o.origin = 'detect' ORDER BY 1, 2"
    )


@pytest.mark.parametrize("batch_size", [1, 7, 5_000])
def test_an_alert_is_as_late_as_its_record_is_behind_the_newest_one(batch_size: int, tmp_path: Path) -> None:
    world = World(tmp_path / "store", batch_size=batch_size)
    world.run(Dated([log()], newest_ns=TWO_DAYS_ON))
    rows = [row for row in behind(world) if row[2] is not None]
    assert len(rows) > 10
    assert [row[3] for row in rows] == [expected(row[2] or 0, TWO_DAYS_ON) for row in rows]
    assert min(row[3] or 0 for row in rows) >= DAYS_S


def test_it_is_never_negative_and_unknown_where_the_end_is(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(Dated([log()], newest_ns=RECORDS[100].timestamp))
    assert {row[3] for row in behind(world) if row[2] is not None and row[2] > 150} == {0.0}
    unknown = World(tmp_path / "unknown")
    unknown.run(ListSource([log()]))
    assert {row[3] for row in behind(unknown) if row[2] is not None} == {None}
    assert [row[:3] for row in behind(unknown)] == [row[:3] for row in behind(world)]
    assert unknown.alerts() == world.alerts(), "no part of what is detected"


def test_what_came_into_a_log_that_was_read_to_its_end_is_live_whatever_its_time_says(tmp_path: Path) -> None:
    """Its producer's clock is slow."""
    world = World(tmp_path / "store")
    world.run(Dated([log()], newest_ns=TWO_DAYS_ON, most_behind_s=2.5))
    assert {row[3] for row in behind(world) if row[2] is not None} == {2.5}


def test_an_alert_derived_after_a_crash_is_as_late_as_it_is_then(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    world.killed(Dated([log()], cycle([30]), newest_ns=RECORDS[90].timestamp), 4)
    before = behind(world)
    assert before
    world.run(Dated([log()], newest_ns=TWO_DAYS_ON))
    after = behind(world)
    assert set(before) < set(after), "what was there stays as it was"
    new = [row for row in after if row not in before and row[2] is not None]
    assert [row[3] for row in new] == [expected(row[2] or 0, TWO_DAYS_ON) for row in new]
    assert new
