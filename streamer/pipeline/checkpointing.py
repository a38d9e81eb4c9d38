"""When checkpoints are taken, and how they reach the store without blocking detection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from detectors.models.model import ModelStateError
from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.logs import Positions
from streamer.messages.outcome import Outcome
from streamer.pipeline.checkpoint_chain import Taken, TaskChain
from streamer.pipeline.runner import Runner
from streamer.pipeline.state import LentState, lent_state, status_document
from streamer.store.checkpoint_base import PIECE_BYTES
from streamer.store.checkpoint_files import WrittenCheckpoint
from streamer.store.checkpoints import checkpoint_name, remove_checkpoint
from streamer.store.database import lacks_files
from streamer.store.ledger import Ledger
from streamer.store.task_rows import CheckpointRow, TaskRow

log = structlog.get_logger()

_RESERVE_AHEAD_BYTES = 4_194_304  # allocating less takes a millisecond or two
_STILL_WRITES_S = 1.0
_FILES_AGAIN_S = 5.0
_STOPPED_LOOK_S = 0.2
_INTERVAL_PER_COST = 50  # checkpoints take at most 1/50 = 2 % of the time, if recovery stays bounded
_MOST_INTERVALS = 2  # `every_s`, which recovery may have to do again at most
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _PendingWrite:
    owner: TaskRow
    chain: TaskChain
    taken: Taken
    status: Mapping[str, Any]
    written: Future[tuple[WrittenCheckpoint, float]]


@dataclass(frozen=True, slots=True)
class CompletedCheckpoint:
    """What a checkpoint was.

    Parameters
    ----------
    size, state_size
        Bytes that were written, and those of the whole state.
    took_s
        Seconds it took to write.
    share
        Of the time since the checkpoint before, what checkpoints have taken.
    """

    size: int
    state_size: int
    took_s: float
    share: float


class Checkpointer:
    """Takes a checkpoint of every task at intervals.

    What changed of the state is copied on the engine's thread and written by another; a file is registered in
    the store only once it is safely on disk.

    Parameters
    ----------
    ledger
        Registers the checkpoints.
    folder
        Holds their files.
    every_s
        Seconds between checkpoints; longer if taking them costs more than 2 % of the time, but so that no
        more than twice as many seconds of work have to be done again at recovery.
    clock
        Monotonic seconds; the writing thread reads it too.
    on_completed
        Called for each registered checkpoint.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        every_s: float,
        clock: Callable[[], float],
        on_completed: Callable[[CompletedCheckpoint], None] = lambda _: None,
    ) -> None:
        self.stopped: Callable[[], bool] = lambda: False
        """Whether a stop was asked for: then nothing waits until files can be opened."""
        self._on_completed = on_completed
        self._ledger = ledger
        self._folder = folder
        self._every_s = every_s
        self._clock = clock
        self._began = clock()
        self._next_at = self._began + every_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: list[_PendingWrite] = []
        self._stale: list[str] = []
        self._reservation: Future[None] | None = None
        self._piece: Future[float] | None = None
        self._piece_at = 0.0
        self._owed = 0
        self._cost_s = self._pieces_s = self._since_s = 0.0
        self.positions: dict[int, Positions] = {}
        """By task: the next offsets to read after its newest checkpoint that this process has registered."""

    def work(self, runners: Iterable[Runner]) -> bool:
        """Register written checkpoints and start those that are due; True if any was registered.

        Raises
        ------
        TapewatchError
            When a file cannot be written, or not be registered.
        """
        runners = list(runners)
        if self._pending and all(each.written.done() for each in self._pending):
            self._register()
            self._next_at = self._began + self._interval()
            return True  # what is due begins with the next call: detection waits for one thing at a time
        if self._pending or not self._piece_done():
            return False
        owes = self._owed > 0 and self._reservation is None
        owing = owes and any(each.live and each.chain.wants_base() for each in runners)
        if self._clock() >= self._next_at and not owing:
            live = [runner for runner in runners if runner.live and runner.chain.seq != runner.journal.seq]
            began = self._clock()
            lent = self._lent_where_memory_is(live)
            if lent is None:
                self._pieces_s += self._clock() - began
            else:
                self._begin(live, began, lent)
                if not self._pending:
                    self._next_at = self._clock() + self._every_s
        elif self._reservation is None and (owing or self._clock() >= self._piece_at):
            self._begin_piece(runners)
        return False

    def _interval(self) -> float:
        """Seconds from the last checkpoint's beginning to the next one's."""
        took_s = self._clock() - self._began
        bounded = _MOST_INTERVALS * (self._every_s - took_s)
        return max(self._every_s, min(_INTERVAL_PER_COST * self._cost_s, bounded))

    def _lent_where_memory_is(self, runners: Sequence[Runner]) -> dict[int, LentState] | None:
        """What was looked at already, by task, once there is memory for the copies; None until then.

        The thread allocates it, so the engine need not wait.
        """
        found: dict[int, LentState] = {}
        if self._reservation is None:
            wanted = []
            for runner in runners:
                with suppress(ModelStateError):  # it will be told when the checkpoint is taken
                    lent = found[runner.row.id] = lent_state(runner.task)
                    if runner.chain.wants_memory(lent):
                        arrays = lent.snapshot.arrays.items()
                        shapes = {name: (array.dtype, array.shape) for name, array in arrays}
                        wanted.append((runner.chain.image, shapes))
            if sum(image.lacks(shapes) for image, shapes in wanted) < _RESERVE_AHEAD_BYTES:
                return found

            def reserve() -> None:
                for image, shapes in wanted:
                    image.reserve(shapes)

            self._reservation = self._thread.submit(reserve)
            found = {}
        if not self._reservation.done():
            return None
        self._reservation.result()
        self._reservation = None
        return found

    def take_now(self, runners: Iterable[Runner]) -> None:
        """Take a checkpoint of each of these tasks and wait until they are registered.

        Raises
        ------
        TapewatchError
            See `work`.
        """
        if self._reservation is not None:
            _waited_for(self._reservation)
        if self._piece is not None:
            try:
                _waited_for(self._piece)
            except TapewatchError as error:  # no checkpoint needs it yet
                log.warning("a base of checkpoints is given up", problem=str(error))
        self._reservation = self._piece = None
        self._register()
        runners = list(runners)
        live = [each for each in runners if each.live and each.chain.seq != each.journal.seq]
        self._begin(live, self._clock(), {})
        self._register()
        for runner in runners:
            runner.chain.give_up_base()

    def close(self) -> None:
        """Wait for the thread and stop it."""
        _waited_for(self._thread.submit(lambda: None))
        self._thread.shutdown(wait=True)

    def _begin(self, runners: Iterable[Runner], began: float, lent: dict[int, LentState]) -> None:
        self._since_s, self._began = began - self._began, began
        for runner in runners:
            pending = self._start_write(runner, lent.pop(runner.row.id, None))
            if pending is not None:
                self._pending.append(pending)
        self._owed = 0
        self._cost_s, self._pieces_s = self._pieces_s + self._clock() - began, 0.0

    def _start_write(self, runner: Runner, lent: LentState | None) -> _PendingWrite | None:
        runner.commit(Outcome(ignored=runner.task.ignored))
        lent = lent or self._lent(runner)
        if lent is None:
            return None
        row = CheckpointRow(
            task_id=runner.row.id,
            seq=runner.journal.seq,
            positions=tuple(runner.places),
            timer_number=runner.task.last_timer.number,
            config_hash=runner.task.plan.config_hash,
        )
        taken = runner.chain.take(lent, row)
        runner.task.touched.clear()
        name = checkpoint_name(row.task_id, row.seq, runner.row.epoch)
        written = self._thread.submit(self._write, runner.chain, name, taken)
        return _PendingWrite(runner.row, runner.chain, taken, status_document(runner.task), written)

    def _lent(self, runner: Runner) -> LentState | None:
        """The task's state; a detector that cannot be copied is quarantined first, None where that fails."""
        while True:
            try:
                return lent_state(runner.task)
            except ModelStateError as error:
                log.warning("detector cannot be checkpointed", detector=error.detector, reason=error.reason)
                self._ledger.quarantine(error.detector, error.version, error.reason)
                if not runner.look_for_controls():
                    return None

    def _write(self, chain: TaskChain, name: str, taken: Taken) -> tuple[WrittenCheckpoint, float]:
        began = self._clock()
        while True:
            try:
                return chain.write(self._folder, name, taken), self._clock() - began
            except TapewatchError as error:
                if not lacks_files(error.__cause__ or error) or self.stopped():
                    raise
                log.warning("a checkpoint waits: too many files are open", checkpoint=name)
                again_at = time.monotonic() + _FILES_AGAIN_S
                while time.monotonic() < again_at and not self.stopped():
                    time.sleep(_STOPPED_LOOK_S)

    def _register(self) -> bool:
        pending, self._pending = self._pending, []
        began = self._clock()
        finished = [(each, *_waited_for(each.written)) for each in pending]
        self._cost_s += sum(took_s for _, _, took_s in finished)
        share = self._cost_s / max(self._since_s, self._cost_s, 1e-9)
        for each, written, took_s in finished:
            with work_watch().asking():
                self._stale += self._ledger.add_checkpoint(each.owner, each.taken.row, written, each.status)
            each.chain.registered(each.taken, written)
            self.positions[each.owner.id] = each.taken.row.positions
            self._owed += written.size
            self._on_completed(CompletedCheckpoint(written.size, each.taken.nbytes, took_s, share))
        self._remove_stale()
        self._cost_s += self._clock() - began
        return bool(pending)

    def _remove_stale(self) -> None:
        """Remove files that the database needs no more, even without its write-ahead log."""
        with work_watch().asking():
            try:
                if not self._stale or not self._ledger.carry_over():
                    return
            except TapewatchError as error:  # out of files, say: what a commit needs, the next one tells
                log.warning("files of older checkpoints are kept until the next one", problem=str(error))
                return
            stale, self._stale = self._stale, []
            for name in stale:
                remove_checkpoint(self._folder, name)

    def _begin_piece(self, runners: Iterable[Runner]) -> None:
        """Have the next piece of a base written, of the first task that wants one."""
        runner = next((each for each in runners if each.live and each.chain.wants_base()), None)
        if runner is not None and runner.chain.seq is not None:
            name = checkpoint_name(runner.row.id, runner.chain.seq, runner.row.epoch, "base")
            self._piece = self._thread.submit(self._write_piece, runner.chain, name)

    def _write_piece(self, chain: TaskChain, name: str) -> float:
        began = self._clock()
        try:
            chain.write_base(self._folder, name)
        except TapewatchError as error:
            if not lacks_files(error.__cause__ or error):
                raise
            log.warning("a base of checkpoints is begun again: too many files are open", base=name)
            chain.give_up_base()
            return _FILES_AGAIN_S
        return self._clock() - began

    def _piece_done(self) -> bool:
        """Whether no piece is being written; after one the disk has as long for others."""
        if self._piece is None:
            return True
        if not self._piece.done():
            return False
        took_s = self._piece.result()
        self._piece = None
        self._owed -= PIECE_BYTES
        self._pieces_s += took_s
        self._piece_at = self._clock() + took_s
        return True


def _waited_for(written: Future[_Result]) -> _Result:
    """A large file on a slow disk takes long to write, and is no reason to end the process."""
    while not wait((written,), _STILL_WRITES_S).done:
        work_watch().mark()
    return written.result()
