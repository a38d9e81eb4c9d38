"""Where partitions begin that are new to joined logs, however these are put together and taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import T0, S, records, trade
from pipeline_world import World, cycle
from test_joined_logs import order_of

from streamer.messages.logs import ALL, Log, LogExtent
from streamer.messages.records import Extent, Partition


@dataclass
class Joining(ListSource):
    """Joins all topics, by number or all partitions; new members are aligned to offset 24."""

    by_number: bool = True
    calls: Sequence[Sequence[int]] = ((0, 1, 2),)
    created: frozenset[Partition] = frozenset()

    def assign(self, logs: Sequence[MemoryLog]) -> None:
        assert self.assignments is not None
        of = {number: [log for log in logs if log.partition.partition == number] for number in range(3)}
        for numbers in self.calls:
            parts = [of[number] for number in numbers] if self.by_number else [logs]
            self.positions |= self.assignments.assigned([self._extent(part) for part in parts])

    def _extent(self, logs: Sequence[MemoryLog]) -> LogExtent:
        extents = tuple(self._described(log) for log in logs)
        if len(logs) == 1 and self.by_number:
            return LogExtent.of(extents[0])
        members = [log.partition for log in logs]
        topics = list(dict.fromkeys(member.topic for member in members))
        log = Log.joined(topics, members[0].partition if self.by_number else ALL, members)
        return LogExtent(log, extents, self.wait_s, _to_24(members))

    def _described(self, log: MemoryLog) -> Extent:
        return replace(log.described(), is_new=log.partition in self.created)


def _to_24(
    members: Sequence[Partition],
) -> Callable[[Mapping[Partition, int]], Mapping[Partition, int]]:
    return lambda known: {member: 24 for member in members if member not in known}


def log(topic: str, number: int, *, anew: bool = False) -> MemoryLog:
    of = Partition(f"trades.{topic}", f"t{topic}2" if anew else f"t{topic}", number)
    times = [T0 + at * S for at in range(30)]
    return MemoryLog(of, records([(at, trade(at, 100.0, symbol=str(number))) for at in times]))


def joining(logs: Sequence[MemoryLog], **more: object) -> Joining:
    return Joining(list(logs), cycle([50]), **more)  # type: ignore[arg-type]


def begins(world: World, source: ListSource) -> dict[str, int]:
    """The first offset that is folded of each partition."""
    world.seen.clear()
    world.run(source)
    found: dict[str, int] = {}
    for member, at in order_of(world):
        found.setdefault(f"{member.topic[-1]}{member.partition}", at)
    return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "store", every_s=1e9, keep_all=True)


def test_a_number_that_a_topic_gets_begins_at_its_first_record(world: World) -> None:
    """The log of that number is new, and its other member was read alone."""
    logs = [log("a", 0), log("b", 0), log("a", 2)]
    world.run(joining(logs, calls=[[0, 2]]))
    assert begins(world, joining([*logs, log("b", 2)], calls=[[0, 2]])) == {"b2": 0}
    (text,) = [text for rule, text in world.service_alerts() if rule == "log_ended"]
    assert "trades.a[2] is not read any more: another log of the same join reads them now" in text
    assert "was changed" not in text


def test_a_topic_that_grew_while_its_join_was_changed_begins_at_its_first_record(world: World) -> None:
    logs = [log("a", 0), log("b", 0)]
    world.run(joining(logs, by_number=False, calls=[[0]]))
    more = [logs[0], log("a", 1), logs[1], log("c", 0)]
    assert begins(world, joining(more, by_number=False, calls=[[0]])) == {"a1": 0, "c0": 24}


@pytest.mark.parametrize("calls", [[[0, 1]], [[0], [1]]])
def test_logs_of_a_join_begin_alike_however_they_are_taken_over(
    calls: Sequence[Sequence[int]], world: World
) -> None:
    old = [log(topic, number) for topic in "ab" for number in (0, 1)]
    world.run(ListSource(old, cycle([50])))
    logs = [*old[:2], *(log(topic, number, anew=topic == "b") for topic in "bc" for number in (0, 1))]
    assert begins(world, joining(logs, calls=calls)) == {"b0": 0, "b1": 0, "c0": 24, "c1": 24}
    texts = [text for rule, text in world.service_alerts() if rule == "log_ended"]
    assert "since `source.join` was changed" in texts[0]


def test_what_is_created_at_work_begins_at_its_first_record(world: World) -> None:
    """Also of a topic that was never read: since the source was opened, nobody can have passed it over."""
    a, b, more = log("a", 0), log("b", 0), log("b", 1)
    world.run(joining([a], by_number=False, calls=[[0]]))
    source = joining([a, b, more], by_number=False, calls=[[0]], created=frozenset({more.partition}))
    assert begins(world, source) == {"b0": 24, "b1": 0}
