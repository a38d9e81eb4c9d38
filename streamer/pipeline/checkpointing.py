"""When checkpoints are taken, and how they reach the store without blocking detection."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from detectors.models.model import ModelStateError
from detectors.slot_arrays import SlotArrays, all_arrays
from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.outcome import Outcome
from streamer.messages.snapshot import Snapshot
from streamer.pipeline.runner import Runner
from streamer.pipeline.state import snapshot, status_document
from streamer.store.checkpoints import (
    WrittenCheckpoint,
    checkpoint_name,
    remove_checkpoint,
    write_checkpoint,
)
from streamer.store.ledger import Ledger
from streamer.store.task_rows import CheckpointRow, TaskRow

log = structlog.get_logger()

_RESERVE_AHEAD_BYTES = 4_194_304  # allocating less takes a millisecond or two
_STILL_WRITES_S = 1.0
_FILES_AGAIN_S = 5.0
_INTERVAL_PER_COST = 50  # checkpoints take at most 1/50 = 2 % of the time
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _PendingWrite:
    owner: TaskRow
    row: CheckpointRow
    status: Mapping[str, Any]
    written: Future[tuple[WrittenCheckpoint, float]]


class Checkpointer:
    """Takes a checkpoint of every task at intervals.

    The state is copied on the engine's thread and written by another; a file is registered in the store
    only once it is safely on disk.

    Parameters
    ----------
    ledger
        Registers the checkpoints.
    folder
        Holds their files.
    every_s
        Minimum seconds between checkpoints; longer if taking them costs more than 2 % of the time.
    clock
        Monotonic seconds; the writing thread reads it too.
    on_completed
        Called for each registered checkpoint with its size in bytes and the seconds it took to write.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        every_s: float,
        clock: Callable[[], float],
        on_completed: Callable[[int, float], None] = lambda _size, _took_s: None,
    ) -> None:
        self._on_completed = on_completed
        self._ledger = ledger
        self._folder = folder
        self._every_s = every_s
        self._clock = clock
        self._next_at = clock() + every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: list[_PendingWrite] = []
        self._reservation: Future[None] | None = None
        self._cost_s = 0.0
        self._last_seq: dict[int, int] = {}
        self.positions: dict[int, int] = {}
        """By task: the next offset to read after its newest checkpoint that this process has registered."""

    def work(self, runners: Iterable[Runner]) -> bool:
        """Register written checkpoints and start those that are due; True if any was registered.

        Raises
        ------
        TapewatchError
            When a file cannot be written, or not be registered.
        """
        completed = False
        if self._pending and all(each.written.done() for each in self._pending):
            completed = self._register()
            self._next_at = self._clock() + max(self._every_s, _INTERVAL_PER_COST * self._cost_s)
        if not self._pending and self._clock() >= self._next_at and self._memory_reserved():
            self._begin(runners)
            if not self._pending:
                self._next_at = self._clock() + self._every_s
        return completed

    def _memory_reserved(self) -> bool:
        """Whether there is memory for the copies; the thread allocates it, so the engine need not wait."""
        if self._reservation is None:
            arrays = all_arrays()
            if sum(each.lacks_for_copies() for each in arrays) < _RESERVE_AHEAD_BYTES:
                return True
            self._reservation = self._thread.submit(_reserve, arrays)
        if not self._reservation.done():
            return False
        self._reservation.result()
        self._reservation = None
        return True

    def take_now(self, runners: Iterable[Runner]) -> None:
        """Take a checkpoint of each of these tasks and wait until they are registered.

        Raises
        ------
        TapewatchError
            See `work`.
        """
        self._register()
        self._begin(runners)
        self._register()

    def close(self) -> None:
        """Wait for the thread and stop it."""
        _waited_for(self._thread.submit(lambda: None))
        self._thread.shutdown(wait=True)

    def _begin(self, runners: Iterable[Runner]) -> None:
        began = self._clock()
        for runner in runners:
            if runner.live and self._last_seq.get(runner.row.id) != runner.journal.seq:
                pending = self._start_write(runner)
                if pending is not None:
                    self._pending.append(pending)
        self._cost_s = self._clock() - began

    def _start_write(self, runner: Runner) -> _PendingWrite | None:
        runner.commit(Outcome(ignored=runner.task.ignored))
        state = self._snapshot(runner)
        if state is None:
            return None
        row = CheckpointRow(
            task_id=runner.row.id,
            seq=runner.journal.seq,
            position=runner.position,
            timer_number=runner.task.last_timer.number,
            config_hash=runner.task.plan.config_hash,
        )
        name = checkpoint_name(row.task_id, row.seq, runner.row.epoch)
        written = self._thread.submit(self._write, name, state)
        return _PendingWrite(runner.row, row, status_document(runner.task), written)

    def _snapshot(self, runner: Runner) -> Snapshot | None:
        """The task's state; a detector that cannot be copied is quarantined first, None where that fails."""
        while True:
            try:
                return snapshot(runner.task)
            except ModelStateError as error:
                log.warning("detector cannot be checkpointed", detector=error.detector, reason=error.reason)
                self._ledger.quarantine(error.detector, error.version, error.reason)
                if not runner.look_for_controls():
                    return None

    def _write(self, name: str, state: Snapshot) -> tuple[WrittenCheckpoint, float]:
        began = self._clock()
        while True:
            try:
                return write_checkpoint(self._folder, name, state), self._clock() - began
            except TapewatchError as error:
                if not _lacks_files(error):
                    raise
                log.warning("a checkpoint waits: too many files are open", checkpoint=name)
                time.sleep(_FILES_AGAIN_S)

    def _register(self) -> bool:
        pending, self._pending = self._pending, []
        began = self._clock()
        for each in pending:
            written, took_s = _waited_for(each.written)
            self._cost_s += took_s
            with work_watch().asking():
                for stale in self._ledger.add_checkpoint(each.owner, each.row, written, each.status):
                    remove_checkpoint(self._folder, stale)
            self._last_seq[each.row.task_id] = each.row.seq
            self.positions[each.row.task_id] = each.row.position
            self._on_completed(written.size, took_s)
        self._cost_s += self._clock() - began
        return bool(pending)


def _waited_for(written: Future[_Result]) -> _Result:
    """A large file on a slow disk takes long to write, and is no reason to end the process."""
    while not wait((written,), _STILL_WRITES_S).done:
        work_watch().mark()
    return written.result()


def _lacks_files(error: BaseException) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE)


def _reserve(arrays: Iterable[SlotArrays]) -> None:
    for each in arrays:
        each.reserve_copies()
