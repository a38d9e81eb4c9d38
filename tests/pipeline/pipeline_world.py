"""The real engine on a real store in a folder, with time that moves only when a test moves it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from list_source import ListSource, MemoryLog

from streamer.app.write_recording import Recorder
from streamer.config.load import load_text
from streamer.messages.records import Partition, Record
from streamer.pipeline.checkpoint_chain import WHOLE_UP_TO
from streamer.pipeline.checkpointing import Checkpointer, CompletedCheckpoint
from streamer.pipeline.compile import compile_document, compile_plan
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Anew, Recovery
from streamer.pipeline.runner_context import RunnerContext, StepResult
from streamer.pipeline.state import snapshot
from streamer.pipeline.task import Task
from streamer.sources.recording.recording_writer import RecordingWriter
from streamer.sources.source import Source
from streamer.store.checkpoints import write_checkpoint
from streamer.store.control_inputs import StoreControls
from streamer.store.database import open_store
from streamer.store.ledger import Ledger
from streamer.store.near_misses import Keeping

RULES = """
  big:
    when: size > 8 * size_mean_1h
    clear: 1s
    severity: info
  move:
    when: abs(return_bps_10s) > 3bps
    for: 2 of 3
    clear: 2s
    escalate: {critical: abs(return_bps_10s) > 30bps}
    text: "{symbol} moved {return_bps_10s:+.1f} bps"
  odd:
    when: tape.score > 0.5 and symbol != "S9"
    clear: 1s
  back:
    when: size > 4 or price < 99.99
    clear: 1s
    flap: 15s
    updates: 2s
  held:
    when: price > 0
    on: trade
    for: 3s
    clear: 8s
"""
DETECTORS = """
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
    params: {n_trees: 3, height: 4, window_size: 20, seed: 7}
  far: {model: RobustZ, on: trade, features: [return_bps_10s]}
"""
CONFIG = """
source:
  kafka: {{bootstrap: "127.0.0.1:1"}}
  topics:
    - {{match: "trades*", format: tapewatch, venue: here}}
    - {{match: "spot*", format: binance, venue: binance}}
detectors:{detectors}
rules:{rules}
engine: {{flood: {flood}, max_instruments: {max_instruments}}}
"""


@cache
def plan_of(rules: str = RULES, detectors: str = DETECTORS, flood: int = 5, max_instruments: int = 4) -> Plan:
    text = CONFIG.format(rules=rules, detectors=detectors, flood=flood, max_instruments=max_instruments)
    return compile_plan(load_text(text))


class Crash(BaseException):
    """The process is no more."""


@dataclass
class Time:
    """Seconds that pass when told to; both monotonic and wall-clock."""

    s: float = 1_000.0

    def now(self) -> float:
        return self.s


@dataclass
class World:
    """A store's folder, and processes that come and go on it."""

    folder: Path
    plan: Plan = field(default_factory=plan_of)
    batch_size: int = 7
    timer_every_s: float | None = None
    every_s: float = 2.0
    keep_all: bool = False
    accept: bool = False
    anew: Anew = Anew.NONE
    keeping: Keeping = field(default_factory=Keeping)
    whole_up_to: int = WHOLE_UP_TO
    time: Time = field(default_factory=Time)
    seen: list[StepResult] = field(default_factory=list)
    stopped: Callable[[], bool] = lambda: False
    completed: list[CompletedCheckpoint] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.folder / "tapewatch.db"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @contextmanager
    def process(
        self,
        source: Source,
        *,
        clock: Callable[[], float] | None = None,
        watch: Callable[[StepResult], None] = lambda work: None,
    ) -> Iterator[Engine]:
        """An engine as the daemon makes it; leaving by an exception leaves everything as it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        database = open_store(str(self.store), accept_rederivation=self.accept)
        ledger = Ledger(
            database,
            self.time,
            keep_all=self.keep_all,
            accept_rederivation=self.accept,
            keeping=self.keeping,
        )

        def watched(step: StepResult) -> None:
            self.seen.append(step)
            watch(step)

        tell = clock or self.time.now
        try:
            controls = StoreControls(database)
            controls.refresh()
            context = RunnerContext(
                ledger,
                lambda config_hash: compile_document(ledger.config(config_hash)),
                self.batch_size,
                watched,
                controls,
                whole_up_to=self.whole_up_to,
                clock=self.time.now,
            )
            recovery = Recovery(
                self.plan,
                context,
                self.checkpoints,
                accept_rederivation=self.accept,
                anew=self.anew,
            )
            checkpointer = Checkpointer(ledger, self.checkpoints, self.every_s, tell, self.completed.append)
            checkpointer.stopped = lambda: self.stopped()
            yield Engine(source, recovery, checkpointer, timer_every_s=self.timer_every_s, clock=tell)
        finally:
            database.close()

    def run(self, source: ListSource, polls: int | None = None, **hooks: Any) -> Engine:
        """One process, until the source has no more, or stopped cleanly after so many polls."""
        with self.process(source, **hooks) as engine:
            engine.run(lambda: polls is not None and source.polls >= polls)
        return engine

    def killed(self, source: ListSource, polls: int, **hooks: Any) -> None:
        """One process that is killed before its n-th poll, with what it had begun to write written or not."""
        before = source.on_poll

        def on_poll(number: int) -> None:
            before(number)
            if number >= polls:
                raise Crash

        source.on_poll = on_poll
        with self.process(source, **hooks) as engine:
            try:
                engine.run(lambda: False)
            except Crash:
                return
        raise AssertionError("it should have been killed")

    def copied(self, folder: Path) -> World:
        """The same folder elsewhere, as a killed process would have left it at this moment."""
        shutil.copytree(self.folder, folder, copy_function=_copy_unless_renamed)
        return World(
            folder,
            self.plan,
            self.batch_size,
            self.timer_every_s,
            self.every_s,
            self.keep_all,
            self.accept,
            self.anew,
            self.keeping,
            self.whole_up_to,
            self.time,
        )

    def ask(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.store)) as connection, connection:
            return connection.execute(query, arguments).fetchall()

    def alerts(self) -> list[tuple[Any, ...]]:
        """What detection raised, in the order of ids: the same for two folds that saw the same."""
        return self.ask(
            "SELECT o.alert_id, o.number, o.transition, o.body, o.config_hash, d.body, d.offset, d.index_ "
            "FROM outbox o JOIN decisions d USING (alert_id, number) WHERE o.origin = 'detect' "
            "ORDER BY o.alert_id, o.number"
        )

    def service_alerts(self) -> list[tuple[str, str]]:
        return [
            (rule, body.decode())
            for rule, body in self.ask("SELECT rule, body FROM outbox WHERE origin = 'service' ORDER BY n")
        ]

    def dead(self) -> list[tuple[Any, ...]]:
        letters = self.ask(
            "SELECT topic, partition, offset, index_, reason, detail, value, truncated, size, record_ts, "
            "minute FROM dead_letters ORDER BY topic, partition, offset, index_, reason"
        )
        floods = self.ask(
            "SELECT t.topic, t.partition, reason, minute, first_offset, last_offset, count "
            "FROM dead_letter_floods f JOIN tasks t ON t.id = task_id ORDER BY 1, 2, 3, 4, 5"
        )
        return letters + floods

    def journal(self, task: int = 1) -> list[tuple[Any, ...]]:
        return self.ask(
            "SELECT seq, kind, first, last, tick_number FROM journal WHERE task_id = ? ORDER BY seq", task
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in self.checkpoints.glob("*")) if self.checkpoints.exists() else []

    def scores(self) -> dict[tuple[Any, ...], list[tuple[float, int]]]:
        """Every score that any process gave, by partition, event and detector."""
        found: dict[tuple[Any, ...], list[tuple[float, int]]] = {}
        for step in self.seen:
            for part in step.outcome.scores:
                for row in range(len(part.slot)):
                    member = step.task.log.members[part.source[row]]
                    key = (member, int(part.offset[row]), int(part.index[row]), part.detector)
                    value = float(part.score[row])
                    found.setdefault(key, []).append(
                        (-1.0 if np.isnan(value) else value, int(part.status[row]))
                    )
        return found

    def record(self, path: Path, logs: Sequence[MemoryLog]) -> None:
        """The complete journal as a recording, as `record` writes one from Kafka."""
        records = {log.partition: log.records for log in logs}

        class Reader:
            def read(self, partition: Partition, first: int, last: int) -> list[Record]:
                return [record for record in records[partition] if first <= record.offset <= last]

        database = open_store(str(self.store))
        try:
            ledger = Ledger(database, self.time, keep_all=True)
            rows = ledger.tasks()
            with RecordingWriter(path, [(row.log, row.positions) for row in rows]) as out:
                recorder, number = Recorder(Reader(), out, lambda _: None), 0
                for row in rows:
                    for entry in ledger.journal_after(row.id, 0):
                        recorder.write(row, number, entry)
                    number += len(row.log.members)
        finally:
            database.close()


def _copy_unless_renamed(file: str, to: str) -> None:
    """As tools that copy a folder at work do: the thread that writes checkpoints goes on meanwhile."""
    with suppress(FileNotFoundError):
        shutil.copy2(file, to)


def state_bytes(task: Task, folder: Path) -> str:
    """The checksum of all that a task remembers, as a checkpoint file would hold it."""
    return write_checkpoint(folder, "compared.ckpt", snapshot(task)).sha256


def cycle(sizes: Sequence[int]) -> Iterator[int]:
    while True:
        yield from sizes
