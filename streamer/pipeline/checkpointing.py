"""When checkpoints are taken, and how they get from memory to the store without holding up detection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from streamer.pipeline.outcome import Outcome
from streamer.pipeline.runner import Runner
from streamer.pipeline.state import snapshot, status_document
from streamer.store.checkpoints import WrittenCheckpoint, remove_checkpoint, write_checkpoint
from streamer.store.ledger import CheckpointRow, Ledger

_WORK_PER_CHECKPOINT = 50  # the time a checkpoint takes may be at most 1/50 = 2 % of all


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
        Seconds between checkpoints, at least; more where writing them takes over 2 % of the time.
    clock
        Monotonic seconds.
    """

    def __init__(self, ledger: Ledger, folder: Path, every_s: float, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._folder = folder
        self._every_s = every_s
        self._clock = clock
        self._next_at = clock() + every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: list[tuple[Runner, CheckpointRow, Future[WrittenCheckpoint]]] = []
        self._began_at = 0.0
        self._done_seq: dict[int, int] = {}

    def work(self, runners: Iterable[Runner]) -> bool:
        """Register what has been written, begin what is due; True when a checkpoint was completed."""
        completed = False
        if self._writing and all(future.done() for _, _, future in self._writing):
            completed = self._register()
            self._next_at = self._clock() + max(
                self._every_s, _WORK_PER_CHECKPOINT * (self._clock() - self._began_at)
            )
        if not self._writing and self._clock() >= self._next_at:
            self._begin(runners)
            if not self._writing:
                self._next_at = self._clock() + self._every_s
        return completed

    def take_now(self, runners: Iterable[Runner]) -> None:
        """Take a checkpoint of these tasks and wait until the store has it."""
        self._register()
        self._begin(runners)
        self._register()

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown(wait=True)

    def _begin(self, runners: Iterable[Runner]) -> None:
        self._began_at = self._clock()
        for runner in runners:
            if not runner.live or self._done_seq.get(runner.row.id) == runner.journal.seq:
                continue
            runner.commit(Outcome(ignored=runner.task.ignored))
            self._ledger.save_status(runner.row.id, status_document(runner.task))
            taken = snapshot(runner.task)
            row = CheckpointRow(
                task_id=runner.row.id,
                seq=runner.journal.seq,
                position=runner.position,
                tick_number=runner.task.last_tick.number,
                config_hash=runner.task.plan.config_hash,
            )
            name = f"task{row.task_id}-{row.seq:012d}-{runner.row.epoch}.ckpt"
            self._writing.append(
                (runner, row, self._thread.submit(write_checkpoint, self._folder, name, taken))
            )

    def _register(self) -> bool:
        writing, self._writing = self._writing, []
        for runner, row, future in writing:
            written = future.result()
            for stale in self._ledger.add_checkpoint(runner.row, row, written):
                remove_checkpoint(self._folder, stale)
            self._done_seq[row.task_id] = row.seq
        return bool(writing)
