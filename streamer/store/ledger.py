"""The store as detection uses it: tasks, journal, outbox, dead letters and checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from alerts.clock import Clock
from streamer.errors import TapewatchError
from streamer.messages.fold_version import code_version
from streamer.messages.journal_entries import JournalEntry
from streamer.messages.logs import Log, Positions
from streamer.messages.outcome import Outcome
from streamer.messages.records import DamagedRange, Partition
from streamer.store import tables as t
from streamer.store.anew_alerts import BegunAnew, OlderTask, detection_anew, store_older
from streamer.store.checkpoint_chains import kept_of
from streamer.store.checkpoint_files import WrittenCheckpoint
from streamer.store.commits import (
    Commit,
    Derivation,
    Loss,
    dead_letter_of,
    dead_row,
    entry_rows,
    upsert,
    write_outcome,
)
from streamer.store.control_inputs import ControlOrder, StoreControls, add_control_input
from streamer.store.database import Database, insert_absent
from streamer.store.doubts import doubt_what_waits, set_older, why_older
from streamer.store.free_pages import flush_log
from streamer.store.log_alerts import (
    JOINED_ANEW,
    JOINED_WITH_NEW,
    LogEnd,
    ReplacedLog,
    log_ended,
    log_replaced,
    member_gone,
)
from streamer.store.member_changes import add_members, set_gone
from streamer.store.near_misses import Keeping, forget_near_misses
from streamer.store.service_alerts import damaged_range, log_gap, raise_service_alert
from streamer.store.standing_episodes import tell_standing
from streamer.store.task_generations import (
    end_task,
    has_grown,
    is_current,
    member_rows,
    next_begin,
    others_with,
    taken_up,
    tasks_of,
)
from streamer.store.task_rows import (
    CheckpointRow,
    TaskRow,
    checkpoints_of,
    entries_after,
    found_tasks,
    in_next_generation,
    last_timer,
    newest_tasks,
    newest_with,
    reached,
)
from streamer.store.work_alerts import detector_quarantined

_KEEPING = Keeping()
_GOES_ON = "detection goes on behind them"


class Ledger:
    """What detection writes and reads; each method is one transaction.

    Parameters
    ----------
    database
        The store.
    clock
        Wall-clock time, for the columns that say when a row was made.
    keep_all
        Keep the whole journal; `record` and audits need it.
    accept_rederivation
        Where an alert is derived again with another body, keep the stored one instead of stopping.
    keeping
        How many near misses are kept, and for how long; each checkpoint deletes the others.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        keep_all: bool = False,
        accept_rederivation: bool = False,
        keeping: Keeping = _KEEPING,
    ) -> None:
        self._db = database
        self._clock = clock
        self._keep_all = keep_all
        self._accept_rederivation = accept_rederivation
        self._keeping = keeping
        self._told_standing: set[int] = set()

    def is_fresh(self) -> bool:
        """True for a store that no task has ever written to."""
        with self._db.read() as connection:
            return connection.execute(select(t.tasks.c.id).limit(1)).first() is None

    def save_config(self, config_hash: str, document: str) -> None:
        """Keep the document of a configuration hash; it is needed from now on."""
        row = {"hash": config_hash, "text": document, "created_at": self._clock.now()}
        with self._db.write() as connection:
            insert_absent(connection, t.configs, [row])
            kept = t.configs.c.hash == config_hash
            connection.execute(update(t.configs).where(kept).values(unused_since=None))

    def config(self, config_hash: str) -> str:
        """The document of a configuration hash.

        Raises
        ------
        TapewatchError
            When the store does not have it.
        """
        query = select(t.configs.c.text).where(t.configs.c.hash == config_hash)
        with self._db.read() as connection:
            text = connection.execute(query).scalar()
        if text is None:
            raise TapewatchError(f"the store {self._db.where} does not hold configuration {config_hash}")
        return str(text)

    def take_over(
        self, starts: Sequence[tuple[Log, Positions]], config_hash: str, version: str
    ) -> list[TaskRow]:
        """The tasks of these logs. Each epoch is raised, so that an earlier owner can write nothing.

        Logs that the store does not know begin at the offsets given with them, all in one transaction:
        no crash leaves some of them with a start and others without. A log that has ended and is back goes
        on where it ended, as a new generation. Where other logs hold partitions of one that is new, those
        end, and this one goes on where they were. A joined log that is known gets the members that are new.
        """
        taken: list[TaskRow] = []
        replaced: list[ReplacedLog] = []
        alive = [log.key for log, _ in starts]
        with self._db.write() as connection:
            for log, positions in starts:
                known = tasks_of(connection, log.key)
                row = taken_up(connection, log.key, known)
                if row is None:
                    if known and not known[0].ended and known[0].partition not in alive:
                        (reach,) = reached(connection, known[0])
                        replaced.append(ReplacedLog(known[0].partition, log.key, reach))
                        self._end(connection, known[0], "its topic was deleted and created anew")
                    self._end_others(connection, log, config_hash)
                    begin = next_begin(connection, log, positions, known)
                    row = self._new_task(connection, *begin, config_hash, version)
                elif log.is_joined:
                    row, made_anew = add_members(connection, row, log, positions)
                    replaced += made_anew
                taken.append(row)
            self._tell_replaced(connection, replaced, config_hash)
        return taken

    def known_positions(self, log: Log) -> dict[Partition, int]:
        """Where those members of a log that any task has read go on."""
        with self._db.read() as connection:
            return {
                member: reached(connection, row)[row.source_log.place(member)]
                for member, row in newest_with(connection, log.members).items()
            }

    def topics(self) -> frozenset[str]:
        """All topics of which any task, whether it has ended or not, ever read a partition."""
        with self._db.read() as connection:
            return frozenset(connection.scalars(select(t.members.c.topic).distinct()))

    def _end_others(self, connection: Connection, log: Log, config_hash: str) -> None:
        """End the tasks of other logs that hold a partition of a new one, as where `join` was changed."""
        others = others_with(connection, log)
        if others:
            resolved = sum(self._end(connection, row, f"its topics are read as {log} now") for row in others)
            now = self._clock.now()
            ended = [(row.id, row.log.key) for row in others]
            end = JOINED_WITH_NEW if has_grown(connection, log) else JOINED_ANEW
            raise_service_alert(connection, log_ended(ended, end, resolved, now, config_hash), now)

    def end_logs(self, rows: Sequence[TaskRow], end: LogEnd, config_hash: str) -> int:
        """End tasks whose logs are not read any more: their open episodes are resolved, one alert tells it.

        A log that comes back goes on where its task had come to, as a new generation.

        Parameters
        ----------
        rows
            The tasks; those that have ended already are left alone.
        end
            Why they are not read.
        config_hash
            The configuration that runs.

        Returns
        -------
        int
            How many episodes were resolved.
        """
        with self._db.write() as connection:
            ended = [row for row in rows if is_current(connection, row)]
            resolved = sum(self._end(connection, row, end.why) for row in ended)
            if ended:
                logs, now = [(row.id, row.partition) for row in ended], self._clock.now()
                alert = log_ended(logs, end, resolved, now, config_hash)
                raise_service_alert(connection, alert, now, ended[0].id if len(ended) == 1 else None)
        return resolved

    def newest_tasks(self) -> list[TaskRow]:
        """The newest task of each log, whether it has ended or not."""
        with self._db.read() as connection:
            return newest_tasks(connection)

    def quarantine(self, detector: str, version: str, reason: str) -> None:
        """Quarantine a detector as a whole in all logs, with an alert, unless it is already."""
        now = self._clock.now()
        if detector in StoreControls(self._db).quarantined():
            return
        with self._db.write() as connection:
            order = ControlOrder("quarantine", detector, f"state at {now}: {detector}", version, reason)
            add_control_input(connection, order, now)
            raise_service_alert(connection, detector_quarantined((detector, version), now, reason, now), now)

    def new_generation(
        self, row: TaskRow, starts: Positions, losses: Sequence[Loss], detail: str, config_hash: str
    ) -> TaskRow:
        """A new task for the same log that begins at `starts`; its alerts get new ids.

        The old task's open episodes are resolved, its checkpoints are deleted, and the lost offsets
        (both included) are named in a service alert; damaged ones are a dead letter too.

        Parameters
        ----------
        row, starts
            The old task, and where the new one begins.
        losses, detail
            What the old one cannot go on without, and what follows, for people; then what else was lost
            before `starts` and not told yet, since nobody would find it again.
        config_hash
            The configuration that runs.
        """
        loss, *untold = losses
        with self._db.write() as connection:
            self._check_epoch(connection, row)
            damaged = isinstance(loss.what, DamagedRange)
            for each in untold:
                self._tell_loss(connection, row, each, config_hash, _GOES_ON)
            self._end(
                connection, row, f"records it rests on are {'damaged' if damaged else 'no longer'} in the log"
            )
            self._tell_loss(connection, row, loss, config_hash, detail)
            fresh = self._next_task(connection, row, starts, config_hash)
            if isinstance(loss.what, DamagedRange):
                letter = dead_row(fresh, dead_letter_of(loss.what, loss.place), self._clock.now())
                insert_absent(connection, t.dead_letters, [letter])
            return fresh

    def begin_anew(
        self, begun: Sequence[tuple[TaskRow, Positions]], how: str, config_hash: str
    ) -> list[TaskRow]:
        """New tasks for the same logs, without models; their alerts get new ids. One alert tells it.

        The old tasks' open episodes are resolved and their checkpoints are deleted. What lies before the
        offset that an old one had reached is written, and sent to nobody. Where that is folded again, what
        stands at its end is told, and only then the ends of the old episodes. The journal of such a task
        begins with the old one's last timer: up to its time, time passes again once that offset is reached.

        Parameters
        ----------
        begun
            The old tasks, each with the offset where the new one begins.
        how
            What is done and why, for people.
        config_hash
            The configuration that runs.
        """
        now = self._clock.now()
        fresh: list[TaskRow] = []
        with self._db.write() as connection:
            for row, start in begun:
                self._check_epoch(connection, row)
                told = tuple(map(max, reached(connection, row), row.settled))
                again = any(first < end for first, end in zip(start, told, strict=True))
                timer = last_timer(connection, row.id) if again else None
                self._end(connection, row, f"detection began anew, {how}", held=again)
                new = self._next_task(connection, row, start, config_hash)
                new = replace(new, settled=told, doubtful=row.doubtful, doubtful_since=row.doubtful_since)
                self._mark(connection, new)
                if timer is not None:
                    connection.execute(_ADD_ENTRIES, entry_rows(new.id, [replace(timer, seq=1)]))
                fresh.append(new)
            if fresh:
                logs = [BegunAnew(row.log, row.positions, row.settled) for row in fresh]
                task_id = fresh[0].id if len(fresh) == 1 else None
                raise_service_alert(connection, detection_anew(logs, how, now, config_hash), now, task_id)
        return fresh

    def older_because(self) -> str:
        """Why this store is known to be older than it was, for people; empty where it is not."""
        with self._db.read() as connection:
            return why_older(connection)

    def tell_older(self, tasks: Sequence[tuple[TaskRow, OlderTask, Positions]], why: str) -> list[TaskRow]:
        """The store is older than what was read of these tasks' logs: one alert tells it.

        What was sent since may be sent again. So deliveries that wait, and alerts of records before the
        offset given with each task, count as in doubt: receivers look for them first, where they can.
        """
        now = self._clock.now()
        with self._db.write() as connection:
            since = doubt_what_waits(connection)
            marked = [
                replace(row, doubtful=tuple(map(max, doubtful, row.doubtful)), doubtful_since=since)
                for row, _, doubtful in tasks
            ]
            for row in marked:
                self._mark(connection, row)
            logs = [part for _, each, _ in tasks for part in each.identity]
            identity = [*logs, now]  # the same copy may be put in its place twice
            alert = store_older(identity, why, [older for _, older, _ in tasks], now)
            raise_service_alert(connection, alert, now, marked[0].id if len(marked) == 1 else None)
            set_older(connection, "")
        return marked

    def last_seq(self, row: TaskRow) -> int:
        """The last journal entry of a task that the store knows."""
        c, kept = t.journal.c, t.checkpoints.c
        with self._db.read() as connection:
            last = connection.execute(select(func.max(c.seq)).where(c.task_id == row.id)).scalar()
            behind = connection.execute(select(func.max(kept.seq)).where(kept.task_id == row.id)).scalar()
        return max(last or 0, behind or 0)

    def _mark(self, connection: Connection, row: TaskRow) -> None:
        values = {"doubtful_since": row.doubtful_since}
        connection.execute(update(t.tasks).where(t.tasks.c.id == row.id).values(values))
        m = t.members.c
        for place, (settled, doubtful) in enumerate(zip(row.settled, row.doubtful, strict=True)):
            of = update(t.members).where(m.task_id == row.id, m.place == place)
            connection.execute(of.values(settled=settled, doubtful=doubtful))

    def reached(self, row: TaskRow) -> Positions:
        """By member, one past the last offset that a task has consumed, as far as the database knows."""
        with self._db.read() as connection:
            return reached(connection, row)

    def tasks(self) -> list[TaskRow]:
        """All tasks in the store, in the order in which they were created."""
        query = select(t.tasks).order_by(t.tasks.c.id)
        with self._db.read() as connection:
            return found_tasks(connection, query)

    def journal_after(self, task_id: int, seq: int) -> list[JournalEntry]:
        """The journal's entries after a checkpoint, in order."""
        with self._db.read() as connection:
            return entries_after(connection, task_id, seq)

    def journal_is_cut(self, task_id: int) -> bool:
        """True when the journal no longer reaches back to the task's beginning."""
        c, kept = t.journal.c, t.checkpoints.c
        with self._db.read() as connection:
            first = connection.execute(select(func.min(c.seq)).where(c.task_id == task_id)).scalar()
            behind = connection.execute(select(func.max(kept.seq)).where(kept.task_id == task_id)).scalar()
        return (behind or 0) > 0 if first is None else first > 1

    def commit(
        self,
        row: TaskRow,
        entries: Sequence[JournalEntry],
        outcome: Outcome,
        derivation: Derivation,
        loss: Loss | None = None,
    ) -> None:
        """Write journal entries and everything that an outcome makes visible, together or not at all.

        Parameters
        ----------
        row, entries, outcome
            The task, what it consumed, and what it derived from that.
        derivation
            How the outcome was derived.
        loss
            What the log has lost, or what is damaged; a service alert names it.

        Raises
        ------
        TapewatchError
            When another worker has taken the task over, or an alert was derived again with
            another body.
        """
        if not entries and not outcome.visible and outcome.ignored is None and loss is None:
            return
        commit = Commit(row, derivation, self._clock.now(), self._accept_rederivation)
        with self._db.write() as connection:
            if entries:
                self._sign(connection, row)
                connection.execute(_ADD_ENTRIES, entry_rows(row.id, entries))
            else:
                self._check_epoch(connection, row)
            write_outcome(connection, commit, outcome)
            passed = derivation.has_reached(row)
            if passed and row.id not in self._told_standing:
                tell_standing(connection, row)
            if loss is not None:
                self._tell_loss(connection, row, loss, derivation.config_hash, _GOES_ON)
        if passed:
            self._told_standing.add(row.id)

    def add_checkpoint(
        self,
        row: TaskRow,
        checkpoint: CheckpointRow,
        written: WrittenCheckpoint,
        status: Mapping[str, Any],
    ) -> list[str]:
        """Register a checkpoint that is on disk; returns the files that are no longer referenced.

        Parameters
        ----------
        row, checkpoint, written
            Its task, its place in the journal and what it builds on, and its file.
        status
            What `check` shows of the task.
        """
        c, j = t.checkpoints.c, t.journal.c
        values = {
            "task_id": row.id,
            "seq": checkpoint.seq,
            "file": written.file,
            "sha256": written.sha256,
            "size": written.size,
            "positions": json.dumps(checkpoint.positions),
            "tick_number": checkpoint.timer_number,
            "config_hash": checkpoint.config_hash,
            "code_version": code_version(),
            "created_at": self._clock.now(),
            "base": checkpoint.base,
            "base_sha256": checkpoint.base_sha256,
            "base_seq": checkpoint.base_seq,
        }
        with self._db.write() as connection:
            self._check_epoch(connection, row)
            before = {name for each in checkpoints_of(connection, row.id) for name in (each.file, each.base)}
            upsert(connection, t.checkpoints, values)
            upsert(connection, t.task_status, {"task_id": row.id, "body": json.dumps(status)})
            keep = kept_of(checkpoints_of(connection, row.id))
            connection.execute(
                delete(t.checkpoints).where(c.task_id == row.id, c.seq.not_in(sorted(keep.seqs)))
            )
            if keep.cut is not None and not self._keep_all:
                connection.execute(delete(t.journal).where(j.task_id == row.id, j.seq <= keep.cut))
            forget_near_misses(connection, self._keeping, self._clock.now())
        return sorted(before - keep.files - {""})

    def checkpoints(self, task_id: int) -> list[CheckpointRow]:
        """The checkpoints of a task, newest first."""
        with self._db.read() as connection:
            return checkpoints_of(connection, task_id)

    def carry_over(self) -> bool:
        """Carry what is committed into the database file itself; whether all of it is there."""
        return flush_log(self._db)

    def forget_checkpoints(self, row: TaskRow, seqs: Sequence[int]) -> None:
        """Delete the rows of unreadable checkpoints, so that the journal is never cut because of them."""
        c = t.checkpoints.c
        with self._db.write() as connection:
            self._check_epoch(connection, row)
            connection.execute(delete(t.checkpoints).where(c.task_id == row.id, c.seq.in_(seqs)))

    def _tell_replaced(
        self, connection: Connection, replaced: Sequence[ReplacedLog], config_hash: str
    ) -> None:
        """Tell of topics that were deleted and created anew: one alert for each topic."""
        now = self._clock.now()
        by_topic: dict[str, list[ReplacedLog]] = {}
        for each in replaced:
            by_topic.setdefault(each.old.topic, []).append(each)
        for logs in by_topic.values():
            alert = log_replaced(logs, now, config_hash)
            raise_service_alert(connection, alert, now)

    def _new_task(
        self, connection: Connection, log: Log, starts: Positions, config_hash: str, version: str
    ) -> TaskRow:
        values = {
            **log.key._asdict(),
            "epoch": 1,
            "config_hash": config_hash,
            "code_version": version,
            "started_at": self._clock.now(),
        }
        task_id = connection.execute(insert(t.tasks).values(values).returning(t.tasks.c.id)).scalar_one()
        rows = [{"task_id": task_id, **member} for member in member_rows(log, starts)]
        connection.execute(insert(t.members), rows)
        (row,) = found_tasks(connection, select(t.tasks).where(t.tasks.c.id == task_id))
        return row

    def _next_task(
        self, connection: Connection, row: TaskRow, starts: Positions, config_hash: str
    ) -> TaskRow:
        """A task of the next generation of the same log."""
        fresh = self._new_task(connection, in_next_generation(row.log), starts, config_hash, code_version())
        for place in row.gone:
            set_gone(connection, fresh, place, self._clock.now())
        return replace(fresh, gone=row.gone)

    def _end(self, connection: Connection, row: TaskRow, why: str, *, held: bool = False) -> int:
        return end_task(connection, row, why, self._clock.now(), keep_all=self._keep_all, held=held)

    def _tell_loss(
        self, connection: Connection, row: TaskRow, loss: Loss, config_hash: str, detail: str
    ) -> None:
        now, member = self._clock.now(), row.log.members[loss.place]
        if loss.what is None:
            set_gone(connection, row, loss.place, now)
            alert = member_gone(row.log, member, reached(connection, row)[loss.place], now, config_hash)
        elif isinstance(loss.what, DamagedRange):
            alert = damaged_range(member, loss.what, now, config_hash, detail)
        else:
            alert = log_gap(member, loss.what, now, config_hash, detail)
        raise_service_alert(connection, alert, now, row.id)

    def _check_epoch(self, connection: Connection, row: TaskRow) -> None:
        c = t.tasks.c
        query = select(c.id).where(c.id == row.id, c.epoch == row.epoch)
        if connection.execute(query.with_for_update()).first() is None:
            raise _taken_over(row)

    def _sign(self, connection: Connection, row: TaskRow) -> None:
        """Check the epoch, and keep which version writes."""
        who = {"id_is": row.id, "epoch_is": row.epoch, "code_version": code_version()}
        if connection.execute(_SIGN, who).rowcount == 0:
            raise _taken_over(row)


_ADD_ENTRIES = insert(t.journal)
_SIGN = update(t.tasks).where(t.tasks.c.id == bindparam("id_is"), t.tasks.c.epoch == bindparam("epoch_is"))


def _taken_over(row: TaskRow) -> TapewatchError:
    return TapewatchError(
        f"{row} was taken over by another tapewatch on this store; this one stops, having written nothing"
    )
