"""The loop: poll, step, commit, insert timers, checkpoint. `run` and `replay` differ only in its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from streamer.messages.logs import LogExtent
from streamer.messages.records import NO_TIME, Chunk, Partition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Runner
from streamer.sources.source import Source

_POLL_S = 0.1  # how long a poll waits for records; also how long a stop may take to be noticed


@dataclass(slots=True)
class _TimeAnchor:
    """A task's running time (ns) at a monotonic time (s), and its position then; timers count on from it."""

    ts_ns: int
    at_s: float
    position: int


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

    @property
    def runners(self) -> Mapping[Partition, Runner]:
        """The running tasks, by partition."""
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
                if not all(self._feed(chunk) for chunk in chunks):
                    break  # the rest is read again after the next start
                if not chunks:
                    self._skip_compacted()
                    if self._source.exhausted():
                        break
                self._insert_timers()
                self._checkpoint()
                between()
            self._finish(list(self._runners.values()))

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        """Take over logs: recover each task, and return the offsets to read from.

        A task that is running already (its log has changed) is finished first, so that nothing it has read
        counts as lost.
        """
        keys = [extent.log.key for extent in logs]
        self.revoked([key for key in keys if key in self._runners])
        runners = self._recovery.recover(logs)
        assigned = dict(zip(keys, runners, strict=True))
        self._runners.update(assigned)
        return {partition: runner.position for partition, runner in assigned.items()}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Give up partitions, after checkpoints of their tasks."""
        revoked = [self._runners.pop(partition) for partition in partitions if partition in self._runners]
        for partition in partitions:
            self._anchors.pop(partition, None)
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

    def _feed(self, chunk: Chunk) -> bool:
        """Fold a chunk; False where a stop came before its end."""
        runner = self._runners.get(chunk.partition)
        if runner is None:
            return True  # revoked by a rebalance during this poll; its new owner reads these records again
        if chunk.records and not runner.consume(chunk.records, chunk.newest_ns, chunk.most_behind_s):
            return False
        if chunk.damaged is not None and not runner.skip_damaged(chunk.damaged):
            self._runners[chunk.partition] = self._recovery.start_afresh(runner, chunk.damaged)
            self._anchors.pop(chunk.partition, None)
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
        replaying = [partition for partition, runner in self._runners.items() if not runner.live]
        at_end = self._source.at_end() if replaying else frozenset()
        for partition in replaying:
            if partition in at_end:
                self._runners[partition].skip_missing()

    def _insert_timers(self) -> None:
        if self._timer_every_s is None or self._clock() < self._next_timer_at:
            return
        self._next_timer_at = self._clock() + self._timer_every_s
        at_end = self._source.at_end()
        for partition, runner in self._runners.items():
            anchor = self._anchor(partition, runner, read=partition in at_end)
            if anchor is None or not runner.live or partition not in at_end:
                continue
            ts_ns = anchor.ts_ns + int((self._clock() - anchor.at_s) * NS_PER_SECOND)
            if ts_ns > runner.task.last_timer.ts_ns:
                runner.insert_timer(ts_ns)

    def _anchor(self, partition: Partition, runner: Runner, *, read: bool) -> _TimeAnchor | None:
        """Where the task's timers count from: its running time, or the last timer before a restart.

        While there is more to read, time begins anew with all that is read, at the last timer: in a backlog
        whose steps are all longer than `max_ahead` the running time stands still, and that is no silence.
        """
        task = runner.task
        if task.watermark == NO_TIME:
            return None
        anchor = self._anchors.get(partition)
        running = task.guard.running
        if anchor is None:
            running = max(running, task.last_timer.ts_ns)
        elif running <= anchor.ts_ns:
            if read or runner.position == anchor.position:
                return anchor
            running = max(anchor.ts_ns, task.last_timer.ts_ns)  # what was told to have passed has passed
        anchor = _TimeAnchor(running, self._clock(), runner.position)
        self._anchors[partition] = anchor
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
        self._source.commit(
            {
                partition: positions[runner.row.id]
                for partition, runner in self._runners.items()
                if runner.row.id in positions
            }
        )
