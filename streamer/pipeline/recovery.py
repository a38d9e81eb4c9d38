"""Restores a task exactly: from its checkpoint, then its journal, then live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import structlog

from detectors.work_watch import work_watch
from streamer.errors import TapewatchError
from streamer.messages.fold_version import CodeVersion, code_version, own_version
from streamer.messages.logs import Log, LogExtent, Positions, name_of
from streamer.messages.records import DamagedRange, Extent, Partition
from streamer.pipeline.checkpoint_chain import KnownChain, TaskChain
from streamer.pipeline.journal import JournalReplay
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import Runner
from streamer.pipeline.runner_context import RecoveredTask, RunnerContext
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
from streamer.store.commits import Loss
from streamer.store.other_folds import require_own_fold
from streamer.store.task_rows import CheckpointRow, TaskRow, positions_at

_log = structlog.get_logger()

_TRUNCATED = "the log ends before them; detection starts afresh at its end"
_UNDERIVABLE = (
    "what was read since the last checkpoint cannot be derived again without them; detection starts afresh"
)


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
        # as the store was when this process began: what one of its logs writes must not decide for the next
        self._read_before = context.ledger.topics()

    @property
    def config_hash(self) -> str:
        """The configuration that tasks are opened under."""
        return self._plan.config_hash

    def switch_to(self, plan: Plan) -> None:
        """Open tasks under this plan from now on; it is stored before any journal refers to it."""
        self._ledger.save_config(plan.config_hash, plan.document)
        self._plan = plan

    def recover(self, logs: Sequence[LogExtent]) -> list[Runner]:
        """The runners of these logs' tasks, each ready to read at its positions.

        Records that a log has lost since are named in a service alert, never skipped silently.

        Raises
        ------
        TapewatchError
            Where code with another fold version has to finish first, or no checkpoint is readable.
        """
        self._ledger.save_config(self._plan.config_hash, self._plan.document)
        starts = [(each.log, self._starts(each)) for each in logs]
        rows = self._ledger.take_over(starts, self._plan.config_hash, code_version())
        rows = self._begin_anew(logs, self._heed_older(logs, rows))
        return [self._recover(extent, row) for extent, row in zip(logs, rows, strict=True)]

    def _starts(self, extent: LogExtent) -> Positions:
        """Where the members of a log begin that no task has read; the others go on where they are.

        What a topic held before it was joined is passed over, up to where the others are. A partition is read
        from its first record where it is new, or its topic was read before: what it holds was written since.
        """
        if self._fresh_store:
            return tuple(each.start for each in extent.extents)
        passed_over = {
            each.partition
            for each in extent.extents
            if not each.is_new and each.partition.topic not in self._read_before
        }
        aligned: Mapping[Partition, int] = {}
        if passed_over and extent.log.is_joined and extent.align is not None:
            known = self._ledger.known_positions(extent.log)
            if known and len(known) < len(extent.log.members):
                aligned = {each: at for each, at in extent.align(known).items() if each in passed_over}
        return tuple(max(aligned.get(each.partition, each.first), each.first) for each in extent.extents)

    def _heed_older(self, logs: Sequence[LogExtent], rows: Sequence[TaskRow]) -> list[TaskRow]:
        """Tell of tasks that are behind what the broker or their checkpoint files know of them."""
        known_why = self._ledger.older_because()
        older: dict[int, tuple[TaskRow, OlderTask, Positions]] = {}
        whys: set[str] = set()
        for extent, row in zip(logs, rows, strict=True):
            reached = tuple(map(max, self._ledger.reached(row), row.settled, row.doubtful))
            found = _by_place(extent, row)
            ends = tuple(each.end if each else at for each, at in zip(found, reached, strict=True))
            committed = tuple(
                end if each is None or each.committed is None else each.committed
                for each, end in zip(found, ends, strict=True)
            )
            ahead = any(
                each is not None and each.committed is not None and at < known <= end
                for each, at, known, end in zip(found, reached, committed, ends, strict=True)
            )
            if ahead and self._fresh_store and not known_why:
                _warn_of_new_store(row, reached, committed)
            elif ahead:
                whys.add("Kafka's consumer group has read on")
            elif newest_seq(self._folder, row.id) > self._ledger.last_seq(row):
                whys.add("its checkpoint files go on behind it")
            elif not known_why:
                continue
            # what was read behind the last offset that Kafka knows of may have been sent too
            told = tuple(
                at if each is None or each.committed is None else each.committed
                for each, at in zip(found, reached, strict=True)
            )
            older[row.id] = (
                row,
                OlderTask(row.log, reached, told if ahead else None),
                tuple(map(max, ends, committed)),
            )
        why = known_why or " and ".join(sorted(whys))
        if not why or not older:
            return list(rows)
        _log.error("the store is older than it should be", why=why)
        marked = {row.id: row for row in self._ledger.tell_older(list(older.values()), why)}
        return [marked.get(row.id, row) for row in rows]

    def _begin_anew(self, logs: Sequence[LogExtent], rows: Sequence[TaskRow]) -> list[TaskRow]:
        """Begin anew what was asked for; a log that is assigned again goes on as it is."""
        begun: dict[int, tuple[TaskRow, Positions]] = {}
        for extent, row in zip(logs, rows, strict=True):
            if self._anew is Anew.NONE or extent.log.key in self._begun:
                continue
            if self._anew is Anew.MODELS:
                if self._ledger.last_seq(row):  # else it has none that could begin anew
                    begun[row.id] = row, self._ledger.reached(row)
            elif not self._is_readable(extent, row):
                _require_whole(extent, row)
                begun[row.id] = row, row.positions
        self._begun |= {extent.log.key for extent in logs}
        fresh = self._ledger.begin_anew(list(begun.values()), self._anew.value, self._plan.config_hash)
        for row, _ in begun.values():
            remove_strays(self._folder, row.id, ())
        new = dict(zip(begun, fresh, strict=True))
        return [new.get(row.id, row) for row in rows]

    def _is_readable(self, extent: LogExtent, row: TaskRow) -> bool:
        try:
            self._newest_checkpoint(extent, row)
        except NoCheckpointError:
            return False
        return True

    def _recover(self, extent: LogExtent, row: TaskRow) -> Runner:
        work_watch().mark()  # each log takes time of its own
        known = self._newest_checkpoint(extent, row)
        checkpoint = known.row if known else None
        replay = JournalReplay(self._ledger.journal_after(row.id, checkpoint.seq if checkpoint else 0))
        self._check_version(row, replay)
        positions = positions_at(row, checkpoint)
        found, log = _by_place(extent, row), _as_known(extent, row)
        runner = self._afresh_if_underivable(log, row, replay, positions, found)
        if runner is None:
            if replay:
                _log.info("replaying the journal", log=str(row))
            runner = self._runner(log, row, known, replay)
            for place, (bounds, reach) in enumerate(zip(found, replay.reach(positions), strict=True)):
                if bounds is not None and bounds.first <= reach:
                    runner.places[place] = max(positions[place], bounds.first)
            runner.advance_replay()
        self._skip_what_is_lost(runner, found)
        return runner

    def _afresh_if_underivable(
        self,
        log: Log,
        row: TaskRow,
        replay: JournalReplay,
        positions: Positions,
        found: Sequence[Extent | None],
    ) -> Runner | None:
        """A new generation of a task whose journal asks for records that are gone; None if it does not."""
        reached, firsts = replay.reach(positions), replay.first_offsets
        for place, bounds in enumerate(found):
            first, reach = firsts.get(place), reached[place]
            if bounds is None:
                if first is not None:
                    return self._start_afresh(log, row, [Loss(place, (first, reach - 1))], reached)
            elif reach > bounds.end:
                start = _with(reached, place, bounds.end)
                lost = Loss(place, (bounds.end, reach - 1))
                return self._start_afresh(log, row, [lost], start, _TRUNCATED)
            elif first is not None and first < bounds.first:
                start = _with(reached, place, max(bounds.first, reach))
                return self._start_afresh(log, row, [Loss(place, (first, bounds.first - 1))], start)
        return None

    def _skip_what_is_lost(self, runner: Runner, found: Sequence[Extent | None]) -> None:
        """Go on behind what members have lost since, and without those that are not there any more.

        What a stored journal asks for is there. It may be replayed for long, and reads the members meanwhile.
        """
        gone = [runner.log.members[place] for place, bounds in enumerate(found) if bounds is None]
        runner.lose(gone)
        for place, (bounds, reach) in enumerate(zip(found, runner.reach, strict=True)):
            if bounds is not None and reach < bounds.first:
                _warn_of_loss(runner.row, place, (reach, bounds.first - 1))
                runner.skip_to(place, bounds.first)

    def start_afresh(self, runner: Runner, member: Partition, damaged: DamagedRange) -> Runner:
        """A new generation of a task whose journal cannot be replayed: offsets that it read are damaged."""
        place = runner.log.place(member)
        start = _with(runner.reach, place, max(runner.reach[place], damaged.last + 1))
        losses = (Loss(place, damaged), *runner.untold)
        fresh = self._start_afresh(runner.log, runner.row, losses, start)
        fresh.adopt(runner)
        return fresh

    def _start_afresh(
        self, log: Log, row: TaskRow, losses: Sequence[Loss], starts: Positions, detail: str = _UNDERIVABLE
    ) -> Runner:
        """A new generation of the task: its state does not match its log any more."""
        loss = losses[0]
        if loss.what is not None:
            lost = (loss.what.first, loss.what.last) if isinstance(loss.what, DamagedRange) else loss.what
            _warn_of_loss(row, loss.place, lost)
        fresh = self._ledger.new_generation(row, starts, losses, detail, self._plan.config_hash)
        remove_strays(self._folder, row.id, ())
        return self._runner(log, fresh, None, JournalReplay())

    def _runner(self, log: Log, row: TaskRow, known: KnownChain | None, replay: JournalReplay) -> Runner:
        checkpoint = known.row if known else None
        recovered = RecoveredTask(
            self._task(row, known),
            row,
            log,
            replay,
            TaskChain(known, self._context.whole_up_to),
            seq=checkpoint.seq if checkpoint else 0,
            positions=positions_at(row, checkpoint),
        )
        return Runner(recovered, self._plan, self._context)

    def _task(self, row: TaskRow, known: KnownChain | None) -> Task:
        checkpoint = known.row if known else None
        config_hash = checkpoint.config_hash if checkpoint else row.first_config_hash
        plan = self._plan if config_hash == self._plan.config_hash else self._context.plan_of(config_hash)
        if checkpoint is None or known is None:
            return Task(plan, row.log)
        try:
            return restore(plan, row.log, known.saved.snapshot())
        except (ValueError, KeyError) as error:
            writer = CodeVersion.parse(checkpoint.code_version)
            raise TapewatchError(
                f"the checkpoint of {row} was written by {writer or checkpoint.code_version}; this is "
                f"{own_version()}, which cannot go on from it ({error}): go back to that version, or start "
                "with `run --models-anew`, with which models warm up anew"
            ) from error

    def _newest_checkpoint(self, extent: LogExtent, row: TaskRow) -> KnownChain | None:
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
                    _log.warning("checkpoint skipped", problem=str(error))
                    damaged.add(error.file)
                    if isinstance(error, UnreadableCheckpointError):
                        unreadable.add(error.file)
            skipped.append(checkpoint.seq)
        if newest is None and rows and self._ledger.journal_is_cut(row.id):
            raise _no_checkpoint(extent, row, self._folder)
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


def _require_whole(extent: LogExtent, row: TaskRow) -> None:
    for place, bounds in enumerate(_by_place(extent, row)):
        if bounds is None or bounds.first > row.positions[place]:
            who = name_of(row.log.members[place]) if row.log.is_joined else "it"
            held = "no longer" if bounds is None else f"only from offset {bounds.first} on"
            raise TapewatchError(
                f"{row} cannot be folded again: {who} began at offset {row.positions[place]}, and Kafka "
                f"holds it {held}; start with `run --models-anew` instead"
            )


def _by_place(extent: LogExtent, row: TaskRow) -> list[Extent | None]:
    """How far each member of a task's log reaches; None for one that is not there any more."""
    found = {each.partition: each for each in extent.extents}
    members = enumerate(zip(row.log.members, row.source_log.members, strict=True))
    return [
        None if place in row.gone else found.get(member, found.get(base)) for place, (member, base) in members
    ]


def _as_known(extent: LogExtent, row: TaskRow) -> Log:
    """A task's log as its source knows it: a recording's partitions are of generations."""
    both = zip(_by_place(extent, row), row.source_log.members, strict=True)
    return Log(extent.log.key, tuple(base if found is None else found.partition for found, base in both))


def _with(positions: Positions, place: int, position: int) -> Positions:
    return (*positions[:place], position, *positions[place + 1 :])


def _no_checkpoint(extent: LogExtent, row: TaskRow, folder: Path) -> NoCheckpointError:
    options = "start once with `run --models-anew`, which goes on where it was with models that warm up anew"
    found = zip(_by_place(extent, row), row.positions, strict=True)
    if all(bounds is not None and bounds.first <= position for bounds, position in found):
        offsets = ", ".join(map(str, row.positions))
        again = f"which folds again what Kafka still holds, from offset {offsets} on"
        options = f"start once with `run --fold-again`, {again}; or {options}"
    return NoCheckpointError(
        f"no readable checkpoint of {row} in {folder}: restore a backup (`tapewatch restore`); or {options}. "
        "Nothing that was sent is sent again, and what is owed stays"
    )


def _warn_of_new_store(row: TaskRow, start: Positions, known: Positions) -> None:
    _log.warning(
        "the store is new, but the consumer group has read this log before: if it was not meant to be new, "
        "restore a backup",
        log=str(row),
        start=start,
        read_to=known,
    )


def _warn_of_loss(row: TaskRow, place: int, lost: tuple[int, int]) -> None:
    topic, _, partition = row.log.members[place]
    _log.warning("the log has lost records", topic=topic, partition=partition, first=lost[0], last=lost[1])
