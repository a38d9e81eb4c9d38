"""Restores a task exactly: from its checkpoint, then its journal, then live."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import structlog

from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.fold_version import CodeVersion, code_version, own_version
from streamer.messages.records import DamagedRange, Log, Partition
from streamer.pipeline.checkpoint_chain import KnownChain, TaskChain
from streamer.pipeline.journal import JournalReplay
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import RecoveredTask, Runner, RunnerContext
from streamer.pipeline.state import restore
from streamer.pipeline.task import Task
from streamer.store.anew_alerts import OlderTask
from streamer.store.checkpoint_chains import chain_of, kept_of
from streamer.store.checkpoints import (
    DamagedCheckpointError,
    UnreadableCheckpointError,
    newest_seq,
    read_chain,
    remove_strays,
    set_aside,
)
from streamer.store.other_folds import require_own_fold
from streamer.store.task_rows import CheckpointRow, TaskRow

log = structlog.get_logger()


class Anew(Enum):
    """Which logs begin anew at a start, and how, for people."""

    NONE = ""
    LOST = "since its checkpoints are lost: what Kafka still holds is folded again"
    MODELS = "as --models-anew asks for: it goes on where it was"


class NoCheckpointError(TapewatchError):
    """A task has no readable checkpoint, and its journal does not reach back to its beginning."""


class Recovery:
    """Opens tasks, new ones and those in the store.

    Parameters
    ----------
    plan
        The current plan.
    context
        What all runners share, the store's ledger among it.
    folder
        The folder of checkpoint files.
    accept_rederivation
        Fold a journal that another fold version has written, and keep what is stored where the two
        disagree.
    anew
        Which logs begin anew; each at most once.
    """

    def __init__(
        self,
        plan: Plan,
        context: RunnerContext,
        folder: Path,
        *,
        accept_rederivation: bool = False,
        anew: Anew = Anew.NONE,
    ) -> None:
        self._anew = anew
        self._begun: set[Partition] = set()
        self._plan = plan
        self._context = context
        self._ledger = context.ledger
        self._folder = folder
        self._accept_rederivation = accept_rederivation
        self._fresh_store = context.ledger.is_fresh()

    @property
    def config_hash(self) -> str:
        """The configuration that tasks are opened under."""
        return self._plan.config_hash

    def switch_to(self, plan: Plan) -> None:
        """Open tasks under this plan from now on; it is stored before any journal refers to it."""
        self._ledger.save_config(plan.config_hash, plan.document)
        self._plan = plan

    def recover(self, logs: Sequence[Log]) -> list[Runner]:
        """The runners of these logs' tasks, each ready to read at its `position`.

        Records that a log has lost since are named in a service alert, never skipped silently.

        Raises
        ------
        TapewatchError
            Where code with another fold version has to finish first, or no checkpoint is readable.
        """
        self._ledger.save_config(self._plan.config_hash, self._plan.document)
        starts = [(each.partition, each.start if self._fresh_store else each.first) for each in logs]
        rows = self._ledger.take_over(starts, self._plan.config_hash, code_version())
        rows = self._begin_anew(logs, self._heed_older(logs, rows))
        return [self._recover(bounds, row) for bounds, row in zip(logs, rows, strict=True)]

    def _heed_older(self, logs: Sequence[Log], rows: Sequence[TaskRow]) -> list[TaskRow]:
        """Tell of tasks that are behind what the broker or their checkpoint files know of them."""
        known_why = self._ledger.older_because()
        older: dict[int, tuple[TaskRow, OlderTask, int]] = {}
        whys: set[str] = set()
        for bounds, row in zip(logs, rows, strict=True):
            reach = max(self._ledger.reached(row), row.settled, row.doubtful)
            committed = bounds.end if bounds.committed is None else bounds.committed
            ahead = bounds.committed is not None and reach < committed <= bounds.end
            if ahead and self._fresh_store and not known_why:
                _warn_of_new_store(row, reach, committed)
            elif ahead:
                whys.add("Kafka's consumer group has read on")
            elif newest_seq(self._folder, row.id) > self._ledger.last_seq(row):
                whys.add("its checkpoint files go on behind it")
            elif not known_why:
                continue
            # what was read behind the last offset that Kafka knows of may have been sent too
            known = committed if ahead else None
            older[row.id] = row, OlderTask(row.partition, reach, known), max(bounds.end, committed)
        why = known_why or " and ".join(sorted(whys))
        if not why or not older:
            return list(rows)
        log.error("the store is older than it should be", why=why)
        marked = {row.id: row for row in self._ledger.tell_older(list(older.values()), why)}
        return [marked.get(row.id, row) for row in rows]

    def _begin_anew(self, logs: Sequence[Log], rows: Sequence[TaskRow]) -> list[TaskRow]:
        """Begin anew what was asked for; a log that is assigned again goes on as it is."""
        begun: dict[int, tuple[TaskRow, int]] = {}
        for bounds, row in zip(logs, rows, strict=True):
            if self._anew is Anew.NONE or bounds.partition in self._begun:
                continue
            if self._anew is Anew.MODELS:
                if self._ledger.last_seq(row):  # else it has none that could begin anew
                    begun[row.id] = row, self._ledger.reached(row)
            elif not self._is_readable(bounds, row):
                _require_whole(bounds, row)
                begun[row.id] = row, row.position
        self._begun |= {bounds.partition for bounds in logs}
        fresh = self._ledger.begin_anew(list(begun.values()), self._anew.value, self._plan.config_hash)
        for row, _ in begun.values():
            remove_strays(self._folder, row.id, ())
        new = dict(zip(begun, fresh, strict=True))
        return [new.get(row.id, row) for row in rows]

    def _is_readable(self, bounds: Log, row: TaskRow) -> bool:
        try:
            self._newest_checkpoint(bounds, row)
        except NoCheckpointError:
            return False
        return True

    def _recover(self, bounds: Log, row: TaskRow) -> Runner:
        work_watch().mark()  # each log takes time of its own
        known = self._newest_checkpoint(bounds, row)
        checkpoint = known.row if known else None
        replay = JournalReplay(self._ledger.journal_after(row.id, checkpoint.seq if checkpoint else 0))
        self._check_version(row, replay)
        position = checkpoint.position if checkpoint else row.position
        if replay.reach(position) > bounds.end:
            lost = (bounds.end, replay.reach(position) - 1)
            return self._start_afresh(row, lost, bounds.end, _TRUNCATED)
        first = replay.first_offset
        if first is not None and first < bounds.first:
            start = max(bounds.first, replay.reach(position))
            return self._start_afresh(row, (first, bounds.first - 1), start, _UNDERIVABLE)
        if replay:
            log.info("replaying the journal", topic=row.partition.topic, partition=row.partition.partition)
        runner = self._runner(row, known, replay)
        if first is not None:
            runner.position = max(position, bounds.first)
        runner.advance_replay()
        if runner.live and runner.position < bounds.first:
            _warn_of_loss(row, (runner.position, bounds.first - 1))
            runner.skip_to(bounds.first)
        return runner

    def start_afresh(self, runner: Runner, damaged: DamagedRange) -> Runner:
        """A new generation of a task whose journal cannot be replayed: offsets that it read are damaged."""
        return self._start_afresh(runner.row, damaged, max(runner.reach, damaged.last + 1), _UNDERIVABLE)

    def _start_afresh(
        self, row: TaskRow, lost: tuple[int, int] | DamagedRange, start: int, detail: str
    ) -> Runner:
        """A new generation of the task: its state does not match its log any more."""
        _warn_of_loss(row, (lost.first, lost.last) if isinstance(lost, DamagedRange) else lost)
        fresh = self._ledger.new_generation(row, start, lost, detail, self._plan.config_hash)
        remove_strays(self._folder, row.id, ())
        return self._runner(fresh, None, JournalReplay())

    def _runner(self, row: TaskRow, known: KnownChain | None, replay: JournalReplay) -> Runner:
        checkpoint = known.row if known else None
        recovered = RecoveredTask(
            self._task(row, known),
            row,
            replay,
            TaskChain(known, self._context.whole_up_to),
            seq=checkpoint.seq if checkpoint else 0,
            position=checkpoint.position if checkpoint else row.position,
        )
        return Runner(recovered, self._plan, self._context)

    def _task(self, row: TaskRow, known: KnownChain | None) -> Task:
        checkpoint = known.row if known else None
        config_hash = checkpoint.config_hash if checkpoint else row.first_config_hash
        plan = self._plan if config_hash == self._plan.config_hash else self._context.plan_of(config_hash)
        if checkpoint is None or known is None:
            return Task(plan, row.partition)
        try:
            return restore(plan, row.partition, known.saved.snapshot())
        except (ValueError, KeyError) as error:
            writer = CodeVersion.parse(checkpoint.code_version)
            raise TapewatchError(
                f"the checkpoint of {row} was written by {writer or checkpoint.code_version}; this is "
                f"{own_version()}, which cannot go on from it ({error}): go back to that version, or start "
                "with `run --models-anew`, with which models warm up anew"
            ) from error

    def _newest_checkpoint(self, bounds: Log, row: TaskRow) -> KnownChain | None:
        rows = self._ledger.checkpoints(row.id)
        skipped: list[int] = []
        damaged: set[str] = set()
        unreadable: set[str] = set()
        newest: KnownChain | None = None
        for checkpoint in rows:
            files = chain_of(rows, checkpoint)
            if damaged.isdisjoint(file for file, _ in files):
                try:
                    newest = self._known(rows, checkpoint, files)
                    break
                except DamagedCheckpointError as error:
                    log.warning("checkpoint skipped", problem=str(error))
                    damaged.add(error.file)
                    if isinstance(error, UnreadableCheckpointError):
                        unreadable.add(error.file)
            skipped.append(checkpoint.seq)
        if newest is None and rows and self._ledger.journal_is_cut(row.id):
            raise _no_checkpoint(bounds, row, self._folder)
        if unreadable:
            set_aside(self._folder, row.id, unreadable)
        if skipped:
            self._ledger.forget_checkpoints(row, skipped)
        left = [each for each in rows if each.seq not in skipped]
        remove_strays(self._folder, row.id, {name for each in left for name in (each.file, each.base)})
        return newest

    def _known(
        self, rows: Sequence[CheckpointRow], checkpoint: CheckpointRow, files: Sequence[tuple[str, str]]
    ) -> KnownChain:
        work_watch().mark()
        saved = read_chain(self._folder, files)
        base, *changes = ((self._folder / file).stat().st_size for file, _ in files)
        older = [each for each in rows if each.seq <= checkpoint.seq]
        has_older = kept_of(older).cut is not None
        return KnownChain(checkpoint, saved, base, sum(changes), len(changes), has_older)

    def _check_version(self, row: TaskRow, replay: JournalReplay) -> None:
        if replay and not self._accept_rederivation:
            require_own_fold(str(row), row.code_version)


_TRUNCATED = "the log ends before them; detection starts afresh at its end"
_UNDERIVABLE = (
    "what was read since the last checkpoint cannot be derived again without them; detection starts afresh"
)


def _require_whole(bounds: Log, row: TaskRow) -> None:
    if bounds.first > row.position:
        raise TapewatchError(
            f"{row} cannot be folded again: it began at offset {row.position}, and Kafka holds it only from "
            f"offset {bounds.first} on; start with `run --models-anew` instead"
        )


def _no_checkpoint(bounds: Log, row: TaskRow, folder: Path) -> NoCheckpointError:
    options = "start once with `run --models-anew`, which goes on where it was with models that warm up anew"
    if bounds.first <= row.position:
        again = f"which folds again what Kafka still holds, from offset {row.position} on"
        options = f"start once with `run --fold-again`, {again}; or {options}"
    return NoCheckpointError(
        f"no readable checkpoint of {row} in {folder}: restore a backup (`tapewatch restore`); or {options}. "
        "Nothing that was sent is sent again, and what is owed stays"
    )


def _warn_of_new_store(row: TaskRow, start: int, known: int) -> None:
    log.warning(
        "the store is new, but the consumer group has read this log before: if it was not meant to be new, "
        "restore a backup",
        topic=row.partition.topic,
        partition=row.partition.partition,
        start=start,
        read_to=known,
    )


def _warn_of_loss(row: TaskRow, lost: tuple[int, int]) -> None:
    topic, _, partition = row.partition
    log.warning("the log has lost records", topic=topic, partition=partition, first=lost[0], last=lost[1])
