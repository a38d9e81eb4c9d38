"""Runs one task: gives it what its log brings, whether that is one partition or several."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from streamer.messages.control_inputs import ControlInput
from streamer.messages.logs import Log, Positions
from streamer.messages.outcome import Outcome
from streamer.messages.records import NO_TIME, DamagedRange, Partition, Record
from streamer.pipeline.joined_log import JoinedLog
from streamer.pipeline.journal import Journal
from streamer.pipeline.journal_following import JournalFollower
from streamer.pipeline.lone_log import LoneLog
from streamer.pipeline.member_queue import Fetched
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import RecoveredTask, RunnerContext
from streamer.pipeline.task import Task, Timer
from streamer.pipeline.task_fold import TaskFold
from streamer.sources.disorder import Disorder
from streamer.store.commits import Loss
from streamer.store.task_rows import TaskRow


class Runner:
    """Feeds one task and writes its journal.

    Parameters
    ----------
    recovered
        The task to continue.
    plan
        The plan to continue under after the replay; switching to another one is a reload.
    context
        What all runners share.
    """

    def __init__(self, recovered: RecoveredTask, plan: Plan, context: RunnerContext) -> None:
        self._fold = fold = TaskFold(recovered, context)
        self._follower = follower = JournalFollower(fold, plan)
        self.chain = recovered.chain
        self._feed: LoneLog | JoinedLog
        if fold.merge is None:
            self._feed = LoneLog(fold, follower)
        else:
            self._feed = JoinedLog(fold, follower, fold.merge)
        self._place_of = {member: place for place, member in enumerate(self.log.members)}

    @property
    def task(self) -> Task:
        """The task as it is now."""
        return self._fold.task

    @property
    def row(self) -> TaskRow:
        """Its row in the store."""
        return self._fold.row

    @property
    def log(self) -> Log:
        """Its log as the source knows it; members that are gone are still among them."""
        return self._fold.log

    @property
    def places(self) -> list[int]:
        """The next offset to read of each member, by place."""
        return self._fold.places

    @property
    def journal(self) -> Journal:
        """What is folded and not committed yet."""
        return self._fold.journal

    @property
    def positions(self) -> Mapping[Partition, int]:
        """The next offset to read of each partition of the log that is there."""
        members = enumerate(self.log.members)
        return {member: self.places[place] for place, member in members if place not in self.row.gone}

    @property
    def brought_to(self) -> Mapping[Partition, int]:
        """One past the last offset that each partition of the log has brought, folded or waiting."""
        if not isinstance(self._feed, JoinedLog):
            return self.positions
        merge = self._feed.merge
        ends = ((member, merge.brought_to(self._place(member)), at) for member, at in self.positions.items())
        return {member: at if end is None else end for member, end, at in ends}

    @property
    def reach(self) -> Positions:
        """By member, one past the last offset consumed or skipped, by the journal to be replayed too."""
        return self._fold.replay.reach(self._fold.positions)

    @property
    def untold(self) -> Sequence[Loss]:
        """What the log has lost and nobody was told of yet, while the stored journal is replayed."""
        return tuple(self._fold.untold)

    @property
    def live(self) -> bool:
        """True once the stored journal has been replayed to its end."""
        return self._fold.live

    @property
    def waits(self) -> bool:
        """Whether records wait for those of another member."""
        return isinstance(self._feed, JoinedLog) and self._feed.merge.waiting

    @property
    def awaited(self) -> frozenset[Partition]:
        """The members whose records others wait for."""
        return self._members(self._feed.merge.awaited if isinstance(self._feed, JoinedLog) else ())

    @property
    def full(self) -> frozenset[Partition]:
        """The members of which enough waits for those of others."""
        return self._members(self._feed.merge.full if isinstance(self._feed, JoinedLog) else ())

    @property
    def disorders(self) -> Mapping[Partition, Disorder]:
        """Where the event times go back, of a file alone and of members that are merged by these."""
        if isinstance(self._feed, JoinedLog):
            return dict(zip(self.log.members, self._feed.merge.disorders, strict=True))
        return {} if self._feed.disorder is None else {self.log.key: self._feed.disorder}

    @property
    def untimed(self) -> list[Partition]:
        """The members of which something was folded, but neither a record nor an event had a time."""
        if isinstance(self._feed, JoinedLog):
            places = self._feed.merge.untimed
        else:
            places = [0] if self.task.guard.watermark == NO_TIME else []
        return [self.log.members[place] for place in places if self.places[place]]

    @property
    def oldest_s(self) -> float:
        """When the first of the records that wait for another member's was brought; infinite without any.

        All that was brought before that moment (monotonic s) is folded.
        """
        return self._feed.merge.oldest_s if isinstance(self._feed, JoinedLog) else inf

    def is_at_end(self, at_end: Collection[Partition]) -> bool:
        """Whether all of the log is read, given the partitions that are read to their end.

        Some of it may wait, but not in a log that is folded again and has not come to its former timers yet.
        """
        comes_again = self.waits and self._fold.lacks_timers
        return not comes_again and all(member in at_end for member in self.positions)

    def consume(
        self,
        records: Sequence[Record],
        newest_ns: int = NO_TIME,
        most_behind_s: float = inf,
        member: Partition | None = None,
    ) -> bool:
        """Fold records in batches, first those that the replay asks for; False where a stop came first.

        Records before the member's position have been folded already and are skipped. Those of a joined log
        wait until nothing that another member brings can come before them.

        Parameters
        ----------
        records
            In order.
        newest_ns
            Time of the newest record that the log had when they were fetched, `NO_TIME` where unknown.
        most_behind_s
            How far behind they can be at most, whatever their times say.
        member
            Whose they are; of a log of one member it need not be given.
        """
        if isinstance(self._feed, JoinedLog):
            fetched = Fetched(newest_ns, most_behind_s, self._fold.context.clock())
            return self._feed.consume(records, fetched, self._place(member))
        return self._feed.consume(records, Fetched(newest_ns, most_behind_s))

    def offer(
        self, records: Sequence[Record], newest_ns: int, most_behind_s: float, member: Partition
    ) -> bool:
        """As `consume`, but records of a joined log are left to what is consumed next."""
        if not isinstance(self._feed, JoinedLog):
            return self.consume(records, newest_ns, most_behind_s, member)
        fetched = Fetched(newest_ns, most_behind_s, self._fold.context.clock())
        self._feed.offer(records, fetched, self._place(member))
        return True

    def insert_timer(self, ts_ns: int, number: int | None = None) -> None:
        """Insert a timer, in a live task.

        Parameters
        ----------
        ts_ns
            Its event time, ns.
        number
            Its number if it was recorded, None for the next number.
        """
        self._fold.pass_time_again(self._fold.positions)
        if number is None:
            number = self.task.last_timer.number + 1
        self.journal.timer(number, ts_ns)
        self._fold.pass_time(Timer(number, ts_ns))

    def skip_to(self, place: int, first: int) -> None:
        """Skip records that the log has lost and no replay asks for; the task's state is kept.

        An alert names them, once the stored journal has been replayed.
        """
        self._fold.skip_to(place, first)

    def skip_damaged(self, damaged: DamagedRange, member: Partition | None = None) -> bool:
        """Skip offsets that cannot be read, with a dead letter and an alert that name them.

        In a joined log they are skipped once what the member brought before them is folded.

        Returns
        -------
        bool
            False if some of them were read before, by the journal that is being replayed: what followed
            from them cannot be derived again.
        """
        if isinstance(self._feed, JoinedLog):
            return self._feed.skip_damaged(damaged, self._place(member))
        return self._feed.skip_damaged(damaged)

    def skip_missing(self, at_end: Collection[Partition]) -> None:
        """Go on with the replay without the records it still asks for: the log does not have them.

        A compacted topic may have dropped the last records of a range, such as deleted keys.

        Parameters
        ----------
        at_end
            The partitions that are read to their end.
        """
        if isinstance(self._feed, JoinedLog):
            self._feed.skip_missing(self._places(at_end))
        elif self.log.key in at_end:
            self._feed.skip_missing()

    def end_members(self, members: Collection[Partition]) -> None:
        """Wait no more for these members of a joined log: they bring nothing more, ever."""
        if isinstance(self._feed, JoinedLog):
            self._feed.end(self._places(members))

    def merge_recorded(self, members: Collection[Partition]) -> None:
        """Merge records of these members of a joined log until each is `complete`, as they were recorded."""
        if isinstance(self._feed, JoinedLog):
            self._feed.merge_recorded(self._places(members))

    def complete(self, member: Partition) -> bool:
        """A member has no more records that were recorded as merged; False where a stop came first."""
        return not isinstance(self._feed, JoinedLog) or self._feed.complete(self._place(member))

    def pass_over(self, members: Collection[Partition]) -> None:
        """Go on without these members, in a live task, until they bring something; it is journaled."""
        if isinstance(self._feed, JoinedLog):
            self._feed.pass_over(self._places(members))

    def lose(self, members: Collection[Partition]) -> None:
        """Go on without members that are not there any more, with an alert that names each."""
        if isinstance(self._feed, JoinedLog):
            self._feed.lose(self._places(members))

    def adopt(self, other: Runner) -> None:
        """Go on with what the runner of the same log before this one had not folded yet."""
        if isinstance(self._feed, JoinedLog) and isinstance(other._feed, JoinedLog):
            self._feed.adopt(other._feed)

    def look_for_controls(self) -> bool:
        """Look for new control inputs of detectors now, and obey them; returns whether there were any."""
        self._fold.context.controls.refresh()
        return self.obey_controls()

    def obey_controls(self) -> bool:
        """In a live task, obey and journal the control inputs of its detectors that are new to it."""
        return self._follower.obey_controls()

    def obey(self, control: ControlInput) -> None:
        """Obey and journal a control input, in a live task."""
        self._fold.obey(control)

    def switch_to(self, plan: Plan) -> None:
        """Switch to a plan now, or at the end of the replay."""
        self._follower.switch_to(plan)

    def advance_replay(self) -> None:
        """Apply the replay up to its next batch of records; at its end, switch to the current plan."""
        self._follower.advance()

    def commit(self, outcome: Outcome) -> None:
        """Commit what is folded and not committed yet, with an outcome."""
        self._fold.commit(outcome)

    def _place(self, member: Partition | None) -> int:
        return 0 if member is None else self._place_of[member]

    def _places(self, members: Iterable[Partition]) -> list[int]:
        return [self._place_of[each] for each in members if each in self._place_of]

    def _members(self, places: Collection[int]) -> frozenset[Partition]:
        members = self.log.members
        return frozenset(members[place] for place in places)
