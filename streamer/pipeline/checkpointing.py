"""When checkpoints are taken, and how they get from memory to the store without holding up detection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.slot_arrays import SlotArrays, all_arrays
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

_WORTH_A_WAIT_BYTES = 4_194_304  # getting less takes a millisecond or two
_WORK_PER_CHECKPOINT = 50  # the time a checkpoint takes may be at most 1/50 = 2 % of all


@dataclass(frozen=True, slots=True)
class _Writing:
    owner: TaskRow
    row: CheckpointRow
    status: Mapping[str, Any]
    written: Future[tuple[WrittenCheckpoint, float]]


class Checkpointer:
    """Takes a checkpoint of every task from time to time.

    The state is copied where detection stands, then written beside it by a thread; the store
    hears of a file only when it is safely on disk.

    Parameters
    ----------
    ledger
        Where checkpoints are registered.
    folder
        Where their files go.
    every_s
        Seconds between checkpoints, at least; more where taking them costs over 2 % of the time.
    clock
        Monotonic seconds; asked by the writing thread too.
    told
        Called with the size in bytes of each checkpoint that the store has, and the seconds it took.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        every_s: float,
        clock: Callable[[], float],
        told: Callable[[int, float], None] = lambda _size, _took_s: None,
    ) -> None:
        self._told = told
        self._ledger = ledger
        self._folder = folder
        self._every_s = every_s
        self._clock = clock
        self._next_at = clock() + every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: list[_Writing] = []
        self._reserving: Future[None] | None = None
        self._cost_s = 0.0
        self._done_seq: dict[int, int] = {}

    def work(self, runners: Iterable[Runner]) -> bool:
        """Register what has been written, begin what is due; True when a checkpoint was completed.

        Raises
        ------
        TapewatchError
            When a file could not be written, or the store not be told.
        """
        completed = False
        if self._writing and all(each.written.done() for each in self._writing):
            completed = self._register()
            self._next_at = self._clock() + max(self._every_s, _WORK_PER_CHECKPOINT * self._cost_s)
        if not self._writing and self._clock() >= self._next_at and self._is_reserved():
            self._begin(runners)
            if not self._writing:
                self._next_at = self._clock() + self._every_s
        return completed

    def _is_reserved(self) -> bool:
        """Whether there is memory for the copies; the thread gets it, so that nothing else waits for it."""
        if self._reserving is None:
            arrays = all_arrays()
            if sum(each.lacks_for_copies() for each in arrays) < _WORTH_A_WAIT_BYTES:
                return True
            self._reserving = self._thread.submit(_reserve, arrays)
        if not self._reserving.done():
            return False
        self._reserving.result()
        self._reserving = None
        return True

    def take_now(self, runners: Iterable[Runner]) -> None:
        """Take a checkpoint of these tasks and wait until the store has it.

        Raises
        ------
        TapewatchError
            As `work` does.
        """
        self._register()
        self._begin(runners)
        self._register()

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown(wait=True)

    def _begin(self, runners: Iterable[Runner]) -> None:
        began = self._clock()
        for runner in runners:
            if runner.live and self._done_seq.get(runner.row.id) != runner.journal.seq:
                self._writing.append(self._copied(runner))
        self._cost_s = self._clock() - began

    def _copied(self, runner: Runner) -> _Writing:
        runner.commit(Outcome(ignored=runner.task.ignored))
        row = CheckpointRow(
            task_id=runner.row.id,
            seq=runner.journal.seq,
            position=runner.position,
            timer_number=runner.task.last_timer.number,
            config_hash=runner.task.plan.config_hash,
        )
        name = checkpoint_name(row.task_id, row.seq, runner.row.epoch)
        written = self._thread.submit(self._write, name, snapshot(runner.task))
        return _Writing(runner.row, row, status_document(runner.task), written)

    def _write(self, name: str, taken: Snapshot) -> tuple[WrittenCheckpoint, float]:
        began = self._clock()
        written = write_checkpoint(self._folder, name, taken)
        return written, self._clock() - began

    def _register(self) -> bool:
        writing, self._writing = self._writing, []
        began = self._clock()
        for each in writing:
            written, took_s = each.written.result()
            self._cost_s += took_s
            for stale in self._ledger.add_checkpoint(each.owner, each.row, written, each.status):
                remove_checkpoint(self._folder, stale)
            self._done_seq[each.row.task_id] = each.row.seq
            self._told(written.size, took_s)
        self._cost_s += self._clock() - began
        return bool(writing)


def _reserve(arrays: Iterable[SlotArrays]) -> None:
    for each in arrays:
        each.reserve_copies()
