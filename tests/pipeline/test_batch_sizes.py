"""However records are cut into batches, and wherever the state is put away and taken up: the same bits."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market_bytes import JUNK, LOG, MS, T0, S, binance_book, binance_trade, market, quote, trade
from pipeline_world import plan_of

from streamer.decoding.formats import DecodeContext
from streamer.messages.outcome import Outcome
from streamer.messages.records import NO_TIME, Partition, Record
from streamer.messages.snapshot import Snapshot
from streamer.pipeline.state import restore, snapshot
from streamer.pipeline.task import Task, Timer
from streamer.store.checkpoints import read_checkpoint, write_checkpoint

SPOT = Partition("spot", "s1", 0)


class Folded:
    """All that a fold brought to light, in its order."""

    def __init__(self) -> None:
        self.transitions: list[tuple[str, int, bytes, bytes]] = []
        self.scores: dict[str, list[tuple[int, int, int, bytes, bytes, int]]] = {}
        self.dead: list[object] = []
        self.floods: dict[tuple[str, int, int], object] = {}
        self.ignored: dict[str, int] = {}

    def add(self, outcome: Outcome) -> None:
        self.transitions += [(t.alert_id, t.number, t.body, t.decision) for t in outcome.transitions]
        for part in outcome.scores:
            rows = zip(
                part.slot.tolist(),
                part.offset.tolist(),
                part.index.tolist(),
                [value.tobytes() for value in part.score],
                [value.tobytes() for value in part.rarity],
                part.status.tolist(),
                strict=True,
            )
            self.scores.setdefault(part.detector, []).extend(rows)
        self.dead += outcome.dead
        self.floods |= {(each.reason, each.minute, each.first_offset): each for each in outcome.floods}
        self.ignored |= outcome.ignored or {}


def digest(taken: Snapshot) -> str:
    sha = hashlib.sha256(json.dumps(taken.meta, sort_keys=True).encode())
    for name, array in taken.arrays.items():
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def fold(
    partition: Partition,
    steps: list[Record | Timer],
    sizes: list[int],
    put_away: frozenset[int] = frozenset(),
) -> tuple[Folded, str]:
    """Fold records and timers in such batches, beginning again from a snapshot before some of them."""
    plan = plan_of()
    feed = plan.feed(partition.topic)
    assert feed is not None
    context = DecodeContext(partition.topic, feed.venue)
    task, found = Task(plan, partition), Folded()
    waiting: list[Record] = []
    batches = 0

    def flush() -> None:
        nonlocal task, batches
        if waiting:
            if batches in put_away:
                task = restore(plan, partition, snapshot(task))
            found.add(task.step(feed.format.decode(waiting, context)))
            waiting.clear()
            batches += 1

    for at, step in enumerate(steps):
        if isinstance(step, Timer):
            flush()
            found.add(task.step(step))
            continue
        waiting.append(step)
        if len(waiting) >= sizes[at % len(sizes)]:
            flush()
    flush()
    return found, digest(snapshot(task))


SYMBOLS = st.sampled_from(["S0", "S1", "S2", "S3", "S4", "S9"])
PRICES = st.sampled_from([0.01, 99.9, 100.0, 100.05, 101.0, 130.0])
SIZES = st.sampled_from([0.1, 1.0, 2.0, 50.0, 1e6])
STEPS_MS = st.sampled_from([0, 0, 1, 40, 300, 1_000, 9_000, -2_500, 70_000])
KINDS = st.sampled_from(["trade", "trade", "trade", "quote", "several", "ahead", "junk"])
EVENTS = st.lists(
    st.tuples(KINDS, SYMBOLS, PRICES, SIZES, STEPS_MS, st.integers(0, len(JUNK) - 1)), min_size=1, max_size=80
)


def as_tapewatch(kind: str, symbol: str, price: float, size: float, now: int, junk: int) -> bytes | None:
    if kind == "junk":
        return JUNK[junk]
    if kind == "quote":
        return quote(now, price, price + 0.02, symbol)
    if kind == "several":
        events = [json.loads(trade(now + at, price, size * at, symbol)) for at in range(3)]
        return json.dumps([*events, {"event_type": "nonsense"}]).encode()
    return trade(now + (600 * S if kind == "ahead" else 0), price, size, symbol, trade_id=f"{symbol}{now}")


def as_binance(kind: str, symbol: str, price: float, size: float, now: int, junk: int) -> bytes | None:
    if kind == "junk":
        return JUNK[junk]
    if kind in ("quote", "several"):
        return binance_book(price, price + 0.02, symbol)
    return binance_trade(now + (600 * S if kind == "ahead" else 0), price, size, symbol)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    events=EVENTS,
    binance=st.booleans(),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    put_away=st.frozensets(st.integers(0, 40), max_size=6),
    timers=st.frozensets(st.integers(0, 80), max_size=6),
    untimed=st.booleans(),
)
def test_cuts_and_restores_change_no_bit(
    events: list[tuple[str, str, float, float, int, int]],
    binance: bool,
    sizes: list[int],
    put_away: frozenset[int],
    timers: frozenset[int],
    untimed: bool,
) -> None:
    now, steps, number = T0, list[Record | Timer](), 0
    as_bytes = as_binance if binance else as_tapewatch
    for at, (kind, symbol, price, size, step_ms, junk) in enumerate(events):
        now += step_ms * MS
        value = as_bytes(kind, symbol, price, size, now, junk)
        steps.append(Record(at, value, int(NO_TIME) if untimed and at % 3 else now // MS * MS))
        if at in timers:
            number += 1
            steps.append(Timer(number, max(now, T0) + 5 * S))
    partition = SPOT if binance else LOG
    whole, state = fold(partition, steps, [len(steps)])
    for cut, away in ((sizes, put_away), ([1], frozenset[int]())):
        again, cut_state = fold(partition, steps, cut, away)
        assert again.transitions == whole.transitions
        assert again.scores == whole.scores
        assert again.dead == whole.dead
        assert again.floods == whole.floods
        assert again.ignored == whole.ignored
        assert cut_state == state


@pytest.mark.parametrize(
    "sizes", [[1], [64, 3], *(pytest.param(sizes, marks=pytest.mark.long) for sizes in ([7], [100_000]))]
)
def test_a_long_market_in_other_batches(sizes: list[int]) -> None:
    steps: list[Record | Timer] = list(market(1_500, seed=51, symbols=4))
    whole, state = fold(LOG, steps, [500])
    assert len(whole.transitions) > 200
    assert {row[5] for row in whole.scores["tape"]} == {0, 1}
    again, other = fold(LOG, steps, sizes)
    assert (again.transitions, again.scores, again.dead) == (whole.transitions, whole.scores, whole.dead)
    assert other == state


def test_another_hash_seed_and_a_state_from_a_file_in_another_process(tmp_path: Path) -> None:
    """Half the market here, the other half there, by way of a checkpoint file."""
    steps: list[Record | Timer] = list(market(600, seed=52))
    _, state = fold(LOG, steps, [50])
    plan = plan_of()
    feed = plan.feed("trades")
    assert feed is not None
    task = Task(plan, LOG)
    context = DecodeContext("trades", feed.venue)
    for record in market(600, seed=52)[:300]:
        task.step(feed.format.decode([record], context))
    written = write_checkpoint(tmp_path, "half.ckpt", snapshot(task))
    assert digest(read_checkpoint(tmp_path, written.file, written.sha256)) == digest(snapshot(task))
    code = (
        "import sys; from pathlib import Path; from test_batch_sizes import go_on; "
        "print(go_on(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), written.file, written.sha256],
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == state


def go_on(folder: Path, name: str, sha256: str) -> str:
    plan = plan_of()
    task = restore(plan, LOG, read_checkpoint(folder, name, sha256))
    feed = plan.feed("trades")
    assert feed is not None
    rest = market(600, seed=52)[300:]
    for at in range(0, len(rest), 17):
        task.step(feed.format.decode(rest[at : at + 17], DecodeContext("trades", feed.venue)))
    return digest(snapshot(task))


def test_fields_are_seen_only_on_events_that_were_let_in() -> None:
    ahead = json.loads(quote(T0 + 600 * S, 1.0, 2.0))
    steps: list[Record | Timer] = [
        Record(0, trade(T0, 100.0, 1.0), T0),
        Record(1, json.dumps(ahead).encode(), T0),
    ]
    states = set()
    for sizes in ([1], [2]):
        states.add(fold(LOG, steps, sizes)[1])
    assert len(states) == 1


def test_nothing_that_a_task_remembers_is_left_out_of_a_snapshot() -> None:
    steps: list[tuple[Partition, list[Record]]] = [
        (LOG, market(400, seed=53)),
        (SPOT, [Record(at, binance_trade(T0 + (at % 7) * S, 100.0, 1.0), T0) for at in range(40)]),
    ]
    steps[1][1].append(Record(40, b'{"e": "depthUpdate", "s": "BTC"}', T0))
    for partition, found in steps:
        plan = plan_of()
        feed = plan.feed(partition.topic)
        assert feed is not None
        task = Task(plan, partition)
        task.step(feed.format.decode(found, DecodeContext(partition.topic, feed.venue)))
        task.step(Timer(1, task.watermark + 30 * S))
        back = restore(plan, partition, snapshot(task))
        assert task.late > 0
        assert task.fields_seen >= {"price", "size"}
        assert bool(task.ignored) is (partition == SPOT)
        for name in ("watermark", "last_timer", "late", "fields_seen", "kinds_seen", "ignored", "alerts"):
            assert getattr(back, name) == getattr(task, name), name
        assert back.guard.document() == task.guard.document()
        assert back.clock_notices.document() == task.clock_notices.document()
        assert back.place_notices.document() == task.place_notices.document()
        assert back.slots.instruments == task.slots.instruments
        assert back.floods.document() == task.floods.document()
        assert back.rates.document() == task.rates.document()
        n = len(task.slots)
        for name, kept in task.guard.state().items():
            assert np.array_equal(back.guard.state()[name], kept)
        for name, status in task.status.items():
            assert np.array_equal(back.status[name][:n], status[:n])
        known = {"plan", "log", "slots", "_by_slot", "guard", "last_timer", "features", "detectors"}
        known |= {
            "episodes",
            "alerts",
            "floods",
            "fields_seen",
            "kinds_seen",
            "ignored",
            "clock_notices",
            "place_notices",
            "time_digits",
            "members",
            "_instrument_names",
            "_grown_to",
        }
        known |= {
            "rates",
            "calibrators",
            "drifts",
            "_coded_fields",
            "_conditions",
            "touched",
        }  # rarities and drifts are compared in tests of their own; touched says only what to compare
        assert set(vars(task)) == known, "what is new must be in a snapshot, and in this test"
