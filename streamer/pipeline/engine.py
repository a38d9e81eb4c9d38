"""The loop: poll, step, commit, insert timers, checkpoint. `run` and `replay` differ only in its parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest

from streamer.messages.logs import LogExtent
from streamer.messages.records import NO_TIME, Chunk, Partition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.join_waits import JoinWaits
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Runner
from streamer.sources.source import Source

_POLL_S = 0.1  # how long a poll waits for records; also how long a stop may take to be noticed


@dataclass(slots=True)
class _TimeAnchor:
    """A task's running time (ns) at a monotonic time (s), and its positions then; timers count on from it."""

    ts_ns: int
    at_s: float
    positions: tuple[int, ...]


class Engine:
    """Runs every task of one process.

    Parameters
    ----------
    source
        Where records come from.
    recovery
        Restores the task of a partition.
    checkpointer
        None to keep no checkpoints (a replay).
    timer_every_s
        Seconds between timers; None for no timers.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        source: Source,
        recovery: Recovery,
        checkpointer: Checkpointer | None,
        *,
        timer_every_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._recovery = recovery
        self._checkpointer = checkpointer
        self._timer_every_s = timer_every_s
        self._clock = clock
        self._next_timer_at = clock()
        self._runners: dict[Partition, Runner] = {}
        self._anchors: dict[Partition, _TimeAnchor] = {}
        self._log_of: dict[Partition, Partition] = {}
        self._joins = JoinWaits(source, clock)

    @property
    def runners(self) -> Mapping[Partition, Runner]:
        """The running tasks, by what their logs are known by."""
        return self._runners

    @property
    def config_hash(self) -> str:
        """The configuration that tasks switch to, once they have replayed their journals."""
        return self._recovery.config_hash

    def run(
        self,
        stopped: Callable[[], bool],
        opened: Callable[[], None] = lambda: None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Run until stopped, or until the source is exhausted; then take the last checkpoints.

        Parameters
        ----------
        stopped
            Checked between polls.
        opened
            Called once the source is open.
        between
            Called between polls; may call `reload`.

        Raises
        ------
        streamer.errors.TapewatchError
            When the source, the store or the fold fails. No checkpoint is taken then: the next start
            recovers from what was committed.
        """
        with ExitStack() as stack:
            if self._checkpointer is not None:
                stack.callback(self._checkpointer.close)
            stack.callback(self._source.close)
            self._source.open(self)
            opened()
            while not stopped():
                chunks = self._source.poll(_POLL_S)
                followed = zip_longest(chunks, chunks[1:])
                if not all(self._feed(chunk, following) for chunk, following in followed):
                    break  # the rest is read again after the next start
                if not chunks:
                    self._skip_compacted()
                    if self._source.exhausted():
                        self._joins.finish(self._runners.values())
                        break
                self._joins.look(self._runners.values())
                self._insert_timers()
                self._checkpoint()
                between()
            self._finish(list(self._runners.values()))

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        """Take over logs: recover each task, and return the offsets to read from.

        A task that is running already (its log has changed) is finished first, so that nothing it has read
        counts as lost.
        """
        members = [member for extent in logs for member in extent.log.members]
        before = [self._log_of[member] for member in members if member in self._log_of]
        self._give_up([*(extent.log.key for extent in logs), *before])
        for extent, runner in zip(logs, self._recovery.recover(logs), strict=True):
            self._runners[extent.log.key] = runner
            self._log_of |= dict.fromkeys(extent.log.members, extent.log.key)
            self._joins.wait_s[extent.log.key] = extent.wait_s
        taken = [(extent.log.members, self._runners[extent.log.key].positions) for extent in logs]
        return {member: positions[member] for members, positions in taken for member in members}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Give up the logs of these partitions, after checkpoints of their tasks."""
        self._give_up([self._log_of[each] for each in partitions if each in self._log_of])

    def lose(self, partitions: Collection[Partition]) -> None:
        """Go on without partitions of joined logs that are not there any more."""
        for runner in self._runners.values():
            lost = runner.positions.keys() & set(partitions)
            if lost and runner.log.is_joined:
                runner.lose(lost)

    def _give_up(self, keys: Sequence[Partition]) -> None:
        revoked = [self._runners.pop(key) for key in dict.fromkeys(keys) if key in self._runners]
        for key in keys:
            self._anchors.pop(key, None)
            for member in [member for member, log in self._log_of.items() if log == key]:
                del self._log_of[member]
        if revoked:
            self._finish(revoked)

    def reload(self, plan: Plan) -> None:
        """Switch to another plan: all running tasks, and those assigned later.

        What a task has consumed so far is committed under its old plan, together with the reload. A task
        that still replays a stored journal switches at the end of it.
        """
        self._recovery.switch_to(plan)
        for runner in self._runners.values():
            runner.switch_to(plan)

    def _feed(self, chunk: Chunk, following: Chunk | None = None) -> bool:
        """Fold a chunk, given the one that was polled behind it; False where a stop came before its end."""
        member = chunk.partition
        key = self._log_of.get(member)
        runner = None if key is None else self._runners.get(key)
        if runner is None or key is None:
            return True  # revoked by a rebalance during this poll; its new owner reads these records again
        fetched = chunk.newest_ns, chunk.most_behind_s
        next_log = None
        if following is not None and following.records:
            next_log = self._log_of.get(following.partition)
        if chunk.has_records_only and next_log == key:
            return runner.offer(chunk.records, *fetched, member)  # merged in one go with what follows
        if chunk.records and not runner.consume(chunk.records, *fetched, member):
            return False
        if chunk.damaged is not None and not runner.skip_damaged(chunk.damaged, member):
            runner = self._runners[key] = self._recovery.start_afresh(runner, member, chunk.damaged)
            self._anchors.pop(key, None)
        if chunk.merges is not None:
            runner.merge_recorded(chunk.merges)
        if chunk.is_complete and not runner.complete(member):
            return False
        if chunk.is_idle:
            runner.pass_over([member])
        if chunk.control is not None:
            runner.obey(chunk.control)
        if chunk.timer_ns is not None:
            guard, ts_ns = runner.task.guard, chunk.timer_ns
            if chunk.timer_by_watermark and guard.watermark != NO_TIME:
                ts_ns = guard.running + max(ts_ns - guard.watermark, 0)
            runner.insert_timer(ts_ns, chunk.timer_number)
        return True

    def _skip_compacted(self) -> None:
        """Let tasks continue whose journal refers to records compacted away at the end of the log."""
        replaying = [runner for runner in self._runners.values() if not runner.live]
        at_end = self._source.at_end() if replaying else frozenset()
        for runner in replaying:
            runner.skip_missing(at_end)

    def _insert_timers(self) -> None:
        if self._timer_every_s is None or self._clock() < self._next_timer_at:
            return
        self._next_timer_at = self._clock() + self._timer_every_s
        at_end = self._source.at_end()
        for key, runner in self._runners.items():
            read = runner.is_at_end(at_end)
            anchor = self._anchor(key, runner, read=read)
            if anchor is None or not runner.live or not read:
                continue
            # no time passes behind a record that waits for another member's: it tells of that time
            until = min(self._clock(), runner.oldest_s)
            ts_ns = anchor.ts_ns + int(max(until - anchor.at_s, 0.0) * NS_PER_SECOND)
            if ts_ns > runner.task.last_timer.ts_ns:
                runner.insert_timer(ts_ns)

    def _anchor(self, key: Partition, runner: Runner, *, read: bool) -> _TimeAnchor | None:
        """Where the task's timers count from: its running time, or the last timer before a restart.

        While there is more to read, time begins anew with all that is read, at the last timer: in a backlog
        whose steps are all longer than `max_ahead` the running time stands still, and that is no silence.
        """
        task = runner.task
        if task.watermark == NO_TIME:
            return None
        anchor = self._anchors.get(key)
        running = task.guard.running
        if anchor is None:
            running = max(running, task.last_timer.ts_ns)
        elif running <= anchor.ts_ns:
            if read or tuple(runner.places) == anchor.positions:
                return anchor
            running = max(anchor.ts_ns, task.last_timer.ts_ns)  # what was told to have passed has passed
        anchor = _TimeAnchor(running, self._clock(), tuple(runner.places))
        self._anchors[key] = anchor
        return anchor

    def _checkpoint(self) -> None:
        if self._checkpointer is not None and self._checkpointer.work(self._runners.values()):
            self._commit_positions()

    def _finish(self, runners: Sequence[Runner]) -> None:
        if self._checkpointer is not None:
            self._checkpointer.take_now(runners)
            self._commit_positions()

    def _commit_positions(self) -> None:
        """Tell the source what the store holds, never more: it is how a lost or older store is noticed."""
        if self._checkpointer is None:
            return
        positions = self._checkpointer.positions
        committed = {
            member: position
            for runner in self._runners.values()
            if runner.row.id in positions
            for member, position in zip(runner.log.members, positions[runner.row.id], strict=True)
            if member in runner.positions
        }
        self._source.commit(committed)
