"""Brings a task to exactly where it stood: checkpoint, then journal, then live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from streamer.errors import TapewatchError
from streamer.pipeline.journal import Entry, Script
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import Runner, Work
from streamer.pipeline.snapshot import Snapshot
from streamer.pipeline.state import restore
from streamer.pipeline.task import Task
from streamer.pipeline.version import code_version
from streamer.sources.contract import Log
from streamer.store.checkpoints import DamagedCheckpointError, read_checkpoint
from streamer.store.ledger import CheckpointRow, Ledger, TaskRow

log = structlog.get_logger()


class Recovery:
    """Opens tasks, new and known ones.

    Parameters
    ----------
    plan
        What tasks are to compute from now on.
    plan_of
        Compiles the plan that the store remembers under a configuration hash.
    ledger, folder
        The store, and the folder of its checkpoint files.
    batch_size
        Records a step.
    watch
        Called after every batch.
    accept_rederivation
        Fold a journal that another version of the code has written, and keep what is stored
        where the two disagree.
    """

    def __init__(
        self,
        plan: Plan,
        plan_of: Callable[[str], Plan],
        ledger: Ledger,
        folder: Path,
        *,
        batch_size: int,
        watch: Callable[[Work], None],
        accept_rederivation: bool = False,
    ) -> None:
        self._plan = plan
        self._plan_of = plan_of
        self._ledger = ledger
        self._folder = folder
        self._batch_size = batch_size
        self._watch = watch
        self._accept_rederivation = accept_rederivation
        self._fresh_store = ledger.is_fresh()

    def recover(self, found: Log) -> Runner:
        """The runner of a log's task, ready to read at its `position`.

        What the log has lost since is named in a service alert, never passed over.

        Raises
        ------
        TapewatchError
            Where another version of the code has to finish first, or no checkpoint is readable.
        """
        self._ledger.save_config(self._plan.config_hash, self._plan.document)
        start = found.start if self._fresh_store else found.first
        row = self._ledger.take_over(found.partition, start, self._plan.config_hash, code_version())
        checkpoint, taken = self._newest_checkpoint(row)
        seq, position = (checkpoint.seq, checkpoint.position) if checkpoint else (0, row.position)
        entries = self._ledger.journal_after(row.id, seq)
        self._check_version(row, entries)
        if position < found.first or _reach(position, entries) > found.end:
            lost = (position, found.first - 1) if position < found.first else (found.end, _reach(position, entries) - 1)
            return self._after_loss(found, row, taken, entries, seq, lost)
        return self._runner(row, taken, checkpoint, entries, seq, position)

    def settle(self, runner: Runner) -> None:
        """Where the stored journal has been followed and the configuration has changed since, reload."""
        if runner.live and runner.task.plan.config_hash != self._plan.config_hash:
            runner.reload(self._plan)

    def _runner(
        self,
        row: TaskRow,
        taken: Snapshot | None,
        checkpoint: CheckpointRow | None,
        entries: Sequence[Entry],
        seq: int,
        position: int,
    ) -> Runner:
        began_under = checkpoint.config_hash if checkpoint else row.first_config_hash
        plan = self._plan if began_under == self._plan.config_hash else self._plan_of(began_under)
        task = Task(plan, row.partition) if taken is None else restore(plan, row.partition, taken)
        if entries:
            log.info("following the journal", topic=row.partition.topic, entries=len(entries))
        return Runner(
            task,
            row,
            self._ledger,
            script=Script(entries),
            seq=seq,
            position=position,
            batch_size=self._batch_size,
            plan_of=self._plan_of,
            watch=self._watch,
        )

    def _newest_checkpoint(self, row: TaskRow) -> tuple[CheckpointRow | None, Snapshot | None]:
        rows = self._ledger.checkpoints(row.id)
        for checkpoint in rows:
            try:
                return checkpoint, read_checkpoint(self._folder, checkpoint.file, checkpoint.sha256)
            except DamagedCheckpointError as error:
                log.warning("checkpoint passed over", problem=str(error))
        if rows and self._ledger.journal_is_cut(row.id):
            raise TapewatchError(
                f"no readable checkpoint of {row.partition.topic}[{row.partition.partition}] in {self._folder}: "
                "restore that folder from a backup, or start with a new store"
            )
        return None, None

    def _check_version(self, row: TaskRow, entries: Sequence[Entry]) -> None:
        if entries and row.code_version != code_version() and not self._accept_rederivation:
            raise TapewatchError(
                f"the journal was written by tapewatch {row.code_version}, this is {code_version()}: let that "
                "version stop cleanly (SIGTERM) on this store first, or pass --accept-rederivation"
            )

    def _after_loss(
        self,
        found: Log,
        row: TaskRow,
        taken: Snapshot | None,
        entries: Sequence[Entry],
        seq: int,
        lost: tuple[int, int],
    ) -> Runner:
        """Go on behind a gap: with the state kept where that is sound, else as a new generation."""
        truncated = lost[0] >= found.end
        fresh = truncated or bool(entries)
        self._ledger.report_gap(row, lost, fresh_state=fresh)
        log.warning("the log has lost records", topic=row.partition.topic, first=lost[0], last=lost[1])
        position = max(found.first, _reach(found.first, entries)) if not truncated else found.end
        if fresh:
            row = self._ledger.new_generation(row, position, self._plan.config_hash, code_version())
            return self._runner(row, None, None, (), 0, position)
        rows = self._ledger.checkpoints(row.id)
        return self._runner(row, taken, rows[0] if rows else None, (), seq, position)


def _reach(position: int, entries: Sequence[Entry]) -> int:
    """One past the last offset that was read, by checkpoint and journal."""
    return max([position, *(entry.last + 1 for entry in entries if entry.kind == "batch")])
