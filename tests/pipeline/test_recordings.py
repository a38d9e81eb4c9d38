"""Recordings: what went in comes out to the byte, half ones do not exist, broken ones are told in a line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broker.watching import Reading, send, settings_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka import KafkaAdminClient
from list_source import ListSource, MemoryLog
from market_bytes import LOG, MS, T0, S, market, records, trade
from pipeline_world import World, cycle, plan_of

from streamer.app.replay import ReplayTotals, replay
from streamer.app.write_recording import write_recording
from streamer.errors import TapewatchError, UsageError
from streamer.messages.logs import Log, LogExtent
from streamer.messages.records import NO_TIME, Chunk, Extent, Partition, Record
from streamer.pipeline.allowance import Allowance
from streamer.pipeline.runner_context import StepResult
from streamer.sources.paced_source import PacedSource
from streamer.sources.recording.recording_source import RecordingSource, is_recording
from streamer.sources.recording.recording_writer import RecordingWriter
from streamer.sources.source import Source
from streamer.store.database import open_store
from streamer.store.ledger import Ledger

OTHER = Partition("spot", "s~1", 3)
TIMES = st.one_of(st.just(int(NO_TIME)), st.integers(-10_000, 4 * 10**12).map(lambda ms: ms * MS))
BYTES = st.one_of(st.none(), st.binary(max_size=30), st.text(max_size=20).map(lambda text: text.encode()))
RECORDS = st.tuples(
    BYTES,
    TIMES,
    BYTES,
    st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3).map(tuple),
    st.integers(1, 1_000),
)


class Collector:
    """Takes down what a source announces and brings."""

    def __init__(self, source: Source) -> None:
        self.logs: Sequence[Extent] = ()
        self.chunks: list[Chunk] = []
        source.open(self)
        while not source.exhausted():
            self.chunks += source.poll(0.0)
        source.close()

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        self.logs = [extent for log in logs for extent in log.extents]
        return {extent.partition: extent.start for extent in self.logs}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        raise AssertionError("a file takes nothing away")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parts=st.lists(st.lists(st.one_of(RECORDS, st.integers(0, 2**60)), max_size=12), min_size=1, max_size=3),
    suffix=st.sampled_from([".jsonl", ".jsonl.gz", ".jsonl.zst"]),
    batch_size=st.integers(1, 5),
)
def test_everything_comes_back(parts: list[list[Any]], suffix: str, batch_size: int, tmp_path: Path) -> None:
    partitions = [(Log.of(Partition("t", f"i~{at}", at)), (7 * at,)) for at in range(len(parts))]
    expected: list[tuple[Partition, Any]] = []
    path = tmp_path / f"all{suffix}"
    with RecordingWriter(path, partitions) as out:
        for number, steps in enumerate(parts):
            offset = timers = 0
            for step in steps:
                if isinstance(step, int):
                    timers += 1
                    out.timer(number, timers, step)
                    expected.append((partitions[number][0].key, (timers, step)))
                else:
                    value, timestamp, key, headers, hop = step
                    offset += hop
                    record = Record(offset, value, timestamp, key, headers)
                    out.record(number, record)
                    expected.append((partitions[number][0].key, record))
    assert is_recording(path)
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".part")] == []
    found = Collector(RecordingSource(path, batch_size))
    assert [(log.partition, log.start, log.first) for log in found.logs] == [
        (log.key, start, start) for log, (start,) in partitions
    ]
    flat: list[tuple[Partition, Any]] = []
    for chunk in found.chunks:
        assert len(chunk.records) <= batch_size
        flat += [(chunk.partition, record) for record in chunk.records]
        if chunk.timer_ns is not None:
            flat.append((chunk.partition, (chunk.timer_number, chunk.timer_ns)))
    assert flat == expected


def folded(source: Source, batch_size: int = 9) -> tuple[ReplayTotals, list[bytes]]:
    bodies: list[bytes] = []

    def watch(step: StepResult) -> None:
        bodies.extend(transition.body for transition in step.outcome.transitions)

    return replay(plan_of(), source, batch_size=batch_size, watch=watch), bodies


def test_generations_and_recreated_topics_are_tasks_of_their_own(tmp_path: Path) -> None:
    kept = market(120, seed=61)
    partitions = [LOG, LOG._replace(incarnation="t1~1"), LOG._replace(incarnation="t2")]
    of = [(Log.of(partition), (0,)) for partition in partitions]
    with RecordingWriter(tmp_path / "all.jsonl", of) as out:
        for number in range(3):
            for record in kept:
                out.record(number, record)
    totals, bodies = folded(RecordingSource(tmp_path / "all.jsonl", 50))
    alone: list[bytes] = []
    dead: dict[str, int] = {}
    late = 0
    for partition in partitions:
        one, found = folded(ListSource([MemoryLog(partition, kept)]))
        alone += found
        late += one.late
        for reason, count in one.dead.items():
            dead[reason] = dead.get(reason, 0) + count
    assert bodies == alone
    assert len({json.loads(body)["id"] for body in bodies}) == sum(b'"fired"' in body for body in bodies)
    assert (totals.dead, totals.late, totals.records) == (dead, late, 360)


def test_what_ran_live_is_what_its_recording_gives(tmp_path: Path) -> None:
    logs = [MemoryLog(LOG, market(200, seed=62, holes=0.1)), MemoryLog(OTHER._replace(incarnation="s"), [])]
    world = World(tmp_path / "store", timer_every_s=1.0, keep_all=True)

    def poll(_: int) -> None:
        world.time.s += 1.5

    world.run(ListSource(logs, cycle([40]), poll, endless=True), polls=30)
    world.record(tmp_path / "live.jsonl.zst", logs)
    live = [row[3] for row in world.alerts()]
    for size in (1, 500):
        _, bodies = folded(RecordingSource(tmp_path / "live.jsonl.zst", size), size)
        assert sorted(bodies) == sorted(live)


def test_timers_of_a_recording_before_fold_4_show_nobody_silent_after_nights(tmp_path: Path) -> None:
    """They count from the watermark, which has left the running time behind by whole nights."""
    plan = plan_of("\n  quiet: {when: silence_s > 60, on: timer, clear: 0s}\n", "")
    path = tmp_path / "r.jsonl"
    with RecordingWriter(path, [(Log.of(LOG), (0,))]) as out:
        for number in range(600):
            ts = T0 + number // 200 * 86_400 * S + number % 200 * S
            out.record(0, Record(number, trade(ts, 100.0, 1.0, f"S{number % 3}"), ts // MS * MS))
            if number > 500:
                out.timer(0, number, ts + S // 2)
        for number in range(600, 700):
            out.timer(0, number, ts + (number - 600) * S)
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":1', 1))
    found: list[StepResult] = []
    replay(plan, RecordingSource(path, 50), batch_size=9, watch=found.append)
    fired = [each for step in found for each in step.outcome.transitions if each.transition == "fired"]
    assert [(each.ts_event_ns - ts) // S for each in fired] == [59, 60, 61]


def test_a_limit_counts_records(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r.jsonl", [(Log.of(LOG), (0,))]) as out:
        for record in records([(T0, b"{}")] * 10):
            out.record(0, record)
            out.timer(0, record.offset + 1, T0)
    source, steps = RecordingSource(tmp_path / "r.jsonl", 4), list[StepResult]()
    replay(plan_of(), source, batch_size=3, watch=steps.append, allowance=Allowance(limit=7))
    assert sum(step.records for step in steps) == 7


HEADER = (
    b'{"tapewatch":"recording","version":1,'
    b'"partitions":[{"topic":"t","incarnation":"","partition":0,"start":0}]}'
)
GOOD = b'{"p":0,"o":0,"v":"x"}'


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "is not a tapewatch recording"),
        ([b"not json"], "is not a tapewatch recording"),
        ([b'{"tapewatch":"recording","version":1}'], "is not a tapewatch recording"),
        ([b'{"tapewatch":"recording","version":1,"partitions":[{}]}'], "is not a tapewatch recording"),
        (
            [HEADER.replace(b'"version":1', b'"version":4')],
            "has recording version 4, this tapewatch reads 1, 2 and 3",
        ),
        ([HEADER, GOOD, b""], ":3: not a line of a recording"),
        ([HEADER, GOOD, GOOD[:-3]], ":3: not a line of a recording"),
        ([HEADER, b"[]"], ":2: not a line of a recording"),
        (
            [HEADER, b'{"p":1,"o":0,"v":"x"}'],
            ":2: not a line of a recording: partition 1 is not in the header",
        ),
        ([HEADER, b'{"p":-1,"o":0,"v":"x"}'], ":2: not a line of a recording"),
        ([HEADER, b'{"p":0,"o":0}'], ":2: not a line of a recording: neither a record nor a timer"),
        ([HEADER, b'{"p":0,"tick":1}'], ":2: not a line of a recording: neither a record nor a timer"),
        ([HEADER, b'{"p":0,"o":0,"v":7}'], ":2: not a line of a recording"),
        ([HEADER, b'{"p":0,"o":0,"v":{"b64":"%%"}}'], ":2: not a line of a recording"),
        ([HEADER, b'{"p":0,"o":"0","v":"x"}'], ":2: not a line of a recording"),
        ([HEADER, b'{"p":0,"o":0,"v":"x","t":1e300}'], ":2: not a line of a recording"),
        ([HEADER, b'{"p":0,"o":0,"v":"x","h":[["a"]]}'], ":2: not a line of a recording"),
        ([HEADER, b'{"p":0,"o":0,"v":"x","what":1}'], ":2: not a line of a recording"),
        ([HEADER, GOOD, GOOD], ":3: not a line of a recording: offset 0 follows offset 0"),
    ],
)
def test_a_broken_recording_is_told_in_one_line(lines: list[bytes], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(TapewatchError) as caught:
        Collector(RecordingSource(path, 10))
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_recording_cut_short_by_its_compression_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(gzip.compress(HEADER + b"\n" + GOOD * 50)[:-12])
    with pytest.raises(TapewatchError, match="is damaged"):
        Collector(RecordingSource(path, 10))


def test_what_failed_leaves_no_recording_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(b"the one before")

    def fail() -> None:
        with RecordingWriter(path, [(Log.of(LOG), (0,))]) as out:
            out.record(0, Record(0, b"x"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["r.jsonl.gz"]
    assert path.read_bytes() == b"the one before"


def test_where_a_recording_cannot_go_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a recording ends in \.jsonl, \.jsonl\.gz or \.jsonl\.zst"):
        RecordingWriter(tmp_path / "r.csv", [(Log.of(LOG), (0,))])
    with (
        pytest.raises(TapewatchError, match=r"cannot write .*: No such file"),
        RecordingWriter(tmp_path / "nowhere" / "r.jsonl", [(Log.of(LOG), (0,))]),
    ):
        pass


def paced(values: Sequence[tuple[int, bytes | None]], speed: float) -> PacedSource:
    return PacedSource(ListSource([MemoryLog(LOG, records(values))]), speed)


def test_a_pace_keeps_order_and_content_and_takes_its_time(monotonic: Callable[[], float]) -> None:
    values = [(T0 + at * S // 10, trade(T0 + at * S // 10, 100.0)) for at in range(20)]
    began = monotonic()
    found = Collector(paced(values, 4.0))
    assert monotonic() - began > 1.9 / 4 - 0.06
    assert [record for chunk in found.chunks for record in chunk.records] == records(values)
    assert len(found.chunks) > 5


def test_at_a_great_speed_records_travel_together() -> None:
    values = [(T0 + at * S, trade(T0 + at * S, 100.0)) for at in range(200)]
    found = Collector(paced(values, 1e6))
    assert sum(len(chunk.records) for chunk in found.chunks) == 200
    assert len(found.chunks) <= 8


def test_recorded_timers_are_let_through_in_their_place(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r.jsonl", [(Log.of(LOG), (0,))]) as out:
        for record in records([(T0, b"{}")] * 6):
            out.record(0, record)
            if record.offset % 2:
                out.timer(0, record.offset, T0 + record.offset)
    plain = Collector(RecordingSource(tmp_path / "r.jsonl", 1))
    slow = Collector(PacedSource(RecordingSource(tmp_path / "r.jsonl", 1), 10.0))

    def order(found: Collector) -> list[object]:
        flat: list[object] = []
        for chunk in found.chunks:
            flat += [record.offset for record in chunk.records]
            if chunk.timer_ns is not None:
                flat.append((chunk.timer_ns, chunk.timer_number))
        return flat

    assert order(slow) == order(plain)


def test_a_pace_without_times_to_go_by_is_refused() -> None:
    with pytest.raises(TapewatchError, match="no timestamps, which a speed needs"):
        Collector(paced([(int(NO_TIME), b"{}")] * 300, 1.0))
    few = [(int(NO_TIME), b"{")] * 3 + [(T0, b"{}")] * 300
    assert sum(len(chunk.records) for chunk in Collector(paced(few, 1.0)).chunks) == 303


@pytest.fixture
def monotonic() -> Callable[[], float]:
    import time

    return time.monotonic


@pytest.mark.parametrize("joined", [True, False])
def test_records_of_a_topic_created_anew_are_not_recorded_in_place_of_the_old_ones(
    broker: str, topic_factory: Callable[..., str], tmp_path: Path, *, joined: bool
) -> None:
    topics = [topic_factory(name) for name in ("trades", "trades.more")]
    for topic in topics:
        send(broker, topic, [trade(T0, 1.0)] * 4)
    with Reading(settings_for(broker), *topics) as reading:
        reading.until_count(8)
    found = {of.topic: MemoryLog(of, records) for of, records in reading.got.items()}
    busy, new = (found[topic] for topic in topics)
    old = MemoryLog(new.partition._replace(incarnation="old"), new.records[:3])

    def recorded(name: str, before: MemoryLog, progress: Callable[[int], None] = lambda _: None) -> int:
        world = World(tmp_path / name, keep_all=True)
        for each in (before, new):
            world.run(ListSource([busy, each], joined=topics if joined else ()))
        with closing(open_store(str(world.store))) as database:
            ledger, out = Ledger(database, world.time), tmp_path / f"{name}.jsonl"
            return write_recording(ledger, settings_for(broker), {}, out, progress)[0]

    with pytest.raises(TapewatchError, match=rf"records 0 to 2 of the old {topics[1]}\[0\] are gone"):
        recorded("lost", old)
    assert recorded("nothing", MemoryLog(old.partition, [])) == 8

    def create_anew(written: int) -> None:
        if written == 8:
            admin = KafkaAdminClient(bootstrap_servers=broker)
            admin.delete_topics([topics[1]])
            admin.create_topics({topics[1]: {"num_partitions": 1}}, wait_for_metadata=True)
            admin.close()

    with pytest.raises(TapewatchError, match=f"topic '{topics[1]}' was deleted and created again"):
        recorded("meanwhile", MemoryLog(old.partition, []), create_anew)
    assert not list(tmp_path.glob("meanwhile*.jsonl*"))
