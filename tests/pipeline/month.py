"""A month of a log by simulation: event time and wall clock are moved, all else is the service's own.

Instruments come and go, a deploy writes records that nobody can read, alerts begin, end and are delivered,
and the store is pruned every six hours. What it holds and how much memory the process has is sampled twice
a day.

`python tests/pipeline/month.py --events 10000000 --dead 1000000 --csv month.csv --svg month.svg`
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fakes.delivering import claim_due, route_all

from streamer.app.upkeep import Upkeep
from streamer.config.load import load_text
from streamer.messages.logs import LogExtent
from streamer.messages.record_block import PADDING, RecordBlock, RecordColumns
from streamer.messages.records import Chunk, Extent, Partition
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.compile import compile_document, compile_plan
from streamer.pipeline.engine import Engine
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner_context import RunnerContext, StepResult
from streamer.sources.source import Assignments
from streamer.store.database import Database, open_store
from streamer.store.deliveries import StoreDeliveries
from streamer.store.free_pages import file_pages
from streamer.store.ledger import Ledger
from streamer.store.pruning import Retention

S = 1_000_000_000
DAY_S = 86_400.0
T0_S = 1_722_470_400.0
LOG = Partition("trades", "month", 0)
POLL_RECORDS = 10_000  # as Kafka's source gives at most; less where that would be more than two hours
HOUR_S = 3_600.0
PRUNE_EVERY_S = 6 * HOUR_S
DEPLOY_DAY = 12.0
TIMERS_EVERY_S = 300.0
RECEIVER = "ops"
CONFIG = """
source:
  kafka: {{bootstrap: "127.0.0.1:1"}}
  topics: [{{match: "trades*", format: tapewatch, venue: here}}]
detectors:
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s]
    params: {{n_trees: 3, height: 4, window_size: 50, seed: 7}}
rules:
  big: {{when: size > 1000000, clear: 60s}}
  odd: {{when: tape.rarity > 10000d, clear: 60s}}
engine: {{max_instruments: {room}, forget_after: 1d}}
"""
_GOOD = (
    b'{"event_type":"trade","symbol":"S00000","ts_event":0000000000000000000,"price":100.0000,"size":100.000}'
)
_SYMBOL, _TS, _PRICE, _SIZE = (
    _GOOD.index(b) for b in (b"S0", b"000000000000000000", b"100.0000", b"100.000}")
)


@dataclass(frozen=True)
class Size:
    """How large a month it is.

    `instruments` is how many there are in all; about a fifth of them is traded at a time, each for six days.
    """

    events: int = 50_000_000
    instruments: int = 20_000
    dead: int = 10_000_000
    alerts: int = 100_000
    days: int = 30

    @property
    def at_a_time(self) -> int:
        return self.instruments // 5

    @property
    def room(self) -> int:
        """The limit of instruments: those traded at a time, and those that were lately."""
        return max(self.at_a_time * 5 // 4, 20)

    def part(self, divisor: int) -> Size:
        """A smaller month of as many days."""
        counts = (self.events, self.instruments, self.dead, self.alerts)
        return Size(*(count // divisor for count in counts), self.days)


KEEP = Retention(7 * DAY_S, 7 * DAY_S, 7 * DAY_S, 3 * DAY_S, 256 << 20)


@dataclass(frozen=True)
class Sample:
    """What there was at a time; sizes in bytes, all else in numbers."""

    day: float
    rss: int
    store: int
    log: int
    checkpoints: int
    records: int
    instruments: int
    outbox: int
    dead_letters: int
    journal: int


@dataclass
class Month:
    """The feed, and all clocks, which it moves."""

    size: Size
    now_s: float = T0_S
    sent: int = 0
    assignments: Assignments | None = None
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(14))
    planted: int = 0

    def now(self) -> float:
        return self.now_s

    @property
    def day(self) -> float:
        return (self.now_s - T0_S) / DAY_S

    @property
    def total(self) -> int:
        return self.size.events + self.size.dead

    # ---- a source

    def open(self, assignments: Assignments) -> None:
        self.assignments = assignments
        assignments.assigned([LogExtent.of(Extent(LOG, 0, self.total, 0))])

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        deploy_at = int(self.size.events * DEPLOY_DAY / self.size.days)
        of_deploy = deploy_at <= self.sent < deploy_at + self.size.dead
        ends = deploy_at if self.sent < deploy_at else self.total
        if of_deploy:
            ends = deploy_at + self.size.dead
        count = min(POLL_RECORDS, self.size.events // (12 * self.size.days), ends - self.sent)
        if count <= 0:
            return ()
        block = self._block(count, dead=of_deploy)
        self.sent += count
        return [Chunk(LOG, block, newest_ns=int(block.timestamp[-1]))]

    def at_end(self) -> frozenset[Partition]:
        return frozenset([LOG])

    def finished(self) -> frozenset[Partition]:
        """None."""
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Nothing."""

    def exhausted(self) -> bool:
        return self.sent >= self.total

    def commit(self, positions: Mapping[Partition, int]) -> None: ...

    def close(self) -> None: ...

    def _block(self, count: int, *, dead: bool) -> RecordBlock:
        """Records of one width; those of a deploy come within two hours and lack their price's name."""
        step_s = 2 * HOUR_S / max(self.size.dead, 1) if dead else self._step_s()
        ts = ((self.now_s + step_s * np.arange(1, count + 1)) * 1e6).astype(np.int64) * 1_000
        self.now_s = float(ts[-1]) / S
        rows = np.tile(np.frombuffer(_GOOD, np.uint8), (count, 1))
        begin = int(self.day / self.size.days * (self.size.instruments - self.size.at_a_time))
        chosen = begin + self.chance.integers(0, self.size.at_a_time, count)
        _digits(rows, _SYMBOL + 1, 5, chosen)
        _digits(rows, _TS, 19, ts)
        _digits(rows, _PRICE + 4, 4, self.chance.integers(0, 10_000, count))
        _digits(rows, _SIZE + 1, 2, self.chance.integers(0, 100, count))
        big = self.chance.random(count) < self.size.alerts / self.size.events
        if dead:
            rows[:, _PRICE - 3 : _PRICE - 1] = ord("x")
        else:
            self.planted += int(big.sum())
            rows[big, _SIZE : _SIZE + 7] = np.frombuffer(b"9000000", np.uint8)
        width = rows.shape[1]
        arena = np.concatenate([rows.reshape(-1), np.zeros(PADDING, np.uint8)])
        at = np.arange(count, dtype=np.int64) * width
        offsets = np.arange(self.sent, self.sent + count, dtype=np.int64)
        return RecordBlock(arena, RecordColumns(offsets, ts, at, np.full(count, width, np.int64)))

    def _step_s(self) -> float:
        return (self.size.days * DAY_S - 2 * HOUR_S) / self.size.events


def _digits(rows: NDArray[np.uint8], at: int, width: int, numbers: NDArray[np.int64]) -> None:
    for place in range(width):
        rows[:, at + width - 1 - place] = numbers // 10**place % 10 + ord("0")


class Watched:
    """Samples, and what was counted on the way."""

    def __init__(self, month: Month, folder: Path, database: Database, say: bool) -> None:
        self.month, self.folder, self.database = month, folder, database
        self.samples: list[Sample] = []
        self.counts: Counter[str] = Counter()
        self.upkeep = Upkeep(database, KEEP, month, lambda *_: None, month.now)
        self._deliveries = StoreDeliveries(database)
        self._say = say
        self._prune_at = T0_S + PRUNE_EVERY_S
        self._sample_at = T0_S + DAY_S / 2
        self._instruments = 0

    def step(self, step: StepResult) -> None:
        self._instruments = len(step.task.slots)
        self.counts["records"] += step.records
        self.counts.update(each.transition for each in step.outcome.transitions)
        self.counts.update(f"dead: {each.reason}" for each in step.outcome.dead)
        self.counts.update(type(each).__name__ for each in step.outcome.notices)

    def between(self) -> None:
        self._deliver()
        now = self.month.now_s
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            self.counts.update({f"pruned: {name}": n for name, n in self.upkeep.round().items()})
        if now >= self._sample_at:
            self._sample_at += DAY_S / 2
            self.samples.append(self._sample())
            if self._say:
                print(self.samples[-1], flush=True)

    def _deliver(self) -> None:
        now = self.month.now_s
        while route_all(self.database, [RECEIVER], now).receivers:
            pass
        while claimed := claim_due(self._deliveries, RECEIVER, 100, now):
            self._deliveries.delivered(claimed, now)
            self.counts["delivered"] += len(claimed)

    def _sample(self) -> Sample:
        def rows(table: str) -> int:
            with self.database.read() as connection:
                return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

        pages, log = file_pages(self.database), self.folder / "tapewatch.db-wal"
        checkpoints = 0
        for file in (self.folder / "checkpoints").glob("*"):
            with suppress(FileNotFoundError):  # another thread writes and renames them
                checkpoints += file.stat().st_size
        return Sample(
            round(self.month.day, 2),
            int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"),
            pages.count * pages.size,
            log.stat().st_size,
            checkpoints,
            self.counts["records"],
            self._instruments,
            rows("outbox"),
            rows("dead_letters"),
            rows("journal"),
        )


def live_through(size: Size, folder: Path, *, say: bool = False) -> Watched:
    """A month on a new store in a folder."""
    month = Month(size)
    plan = compile_plan(load_text(CONFIG.format(room=size.room)))
    database = open_store(str(folder / "tapewatch.db"))
    try:
        watched = Watched(month, folder, database, say)
        ledger = Ledger(database, month)
        context = RunnerContext(
            ledger, lambda digest: compile_document(ledger.config(digest)), POLL_RECORDS, watched.step
        )
        recovery = Recovery(plan, context, folder / "checkpoints")
        checkpointer = Checkpointer(ledger, folder / "checkpoints", HOUR_S, month.now)
        engine = Engine(month, recovery, checkpointer, timer_every_s=TIMERS_EVERY_S, clock=month.now)
        engine.run(lambda: False, between=watched.between)
    finally:
        database.close()
    return watched


def drawn(samples: Sequence[Sample], title: str) -> str:
    """Store and memory over the days, as an SVG."""
    width, height, left, top = 720, 300, 60, 40
    days = [sample.day for sample in samples]
    lines = {
        "memory of the process": ("#1f77b4", [sample.rss for sample in samples]),
        "store": ("#d62728", [sample.store + sample.log for sample in samples]),
        "checkpoints": ("#2ca02c", [sample.checkpoints for sample in samples]),
    }
    most = max(max(values) for _, values in lines.values()) / 2**20
    step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000) if most / step <= 6)
    high = (int(most / step) + 1) * step

    def at(day: float, mib: float) -> str:
        x = left + day / days[-1] * (width - left - 20)
        return f"{x:.1f},{top + (1 - mib / high) * (height - top - 40):.1f}"

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11"><rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="14">{title}</text>',
    ]
    for mib in range(0, high + 1, step):
        begin, end = at(0, mib), at(days[-1], mib)
        x, y = begin.split(",")
        out.append(f'<polyline points="{begin} {end}" stroke="#ddd"/>')
        out.append(f'<text x="{float(x) - 6}" y="{float(y) + 4}" text-anchor="end">{mib} MiB</text>')
    for day in range(0, int(days[-1]) + 2, 5):
        x, y = at(min(day, days[-1]), 0).split(",")
        out.append(f'<text x="{x}" y="{float(y) + 16}" text-anchor="middle">day {day}</text>')
    for number, (name, (colour, values)) in enumerate(lines.items()):
        points = " ".join(at(day, value / 2**20) for day, value in zip(days, values, strict=True))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out.append(f'<text x="{left + 170 * number}" y="30" fill="{colour}">{name}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


def main() -> None:
    """Live through a month of the size that is asked for, and write down what was sampled."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--svg", type=Path)
    given = vars(parser.parse_args())
    to_csv, to_svg = given.pop("csv"), given.pop("svg")
    size, began = Size(**given), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        watched = live_through(size, Path(folder), say=True)
    print(f"{time.monotonic() - began:.0f} s", watched.month.planted, "planted", dict(watched.counts))
    rows = [asdict(sample) for sample in watched.samples]
    if to_csv is not None:
        with to_csv.open("w", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if to_svg is not None:
        title = (
            f"{size.events:,} events, {size.instruments:,} instruments, {size.dead:,} dead letters on day 12"
        )
        to_svg.write_text(drawn(watched.samples, f"A month: {title}, {size.alerts:,} alerts"))


if __name__ == "__main__":
    main()
