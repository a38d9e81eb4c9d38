"""The loop: poll, step, commit, insert timers, checkpoint; `run` and `replay` only hand it other parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from streamer.messages.records import NO_TIME, Chunk, Log, Partition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.plan import Plan
from streamer.pipeline.recovery import Recovery
from streamer.pipeline.runner import Runner
from streamer.sources.source import Source

_POLL_S = 0.1  # how long a poll waits for records; also how soon a stop is seen


@dataclass(slots=True)
class _Pulse:
    """Event time that was last known for a task, and when (monotonic seconds) that was."""

    ts_ns: int
    at_s: float


class Engine:
    """Moves every task of one process.

    Parameters
    ----------
    source
        Where records come from.
    recovery
        Brings a partition's task to where it stood.
    checkpointer
        None where nothing is to be kept (a replay).
    timer_every_s
        Seconds between timers; None for none.
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
        self._pulses: dict[Partition, _Pulse] = {}

    @property
    def runners(self) -> Mapping[Partition, Runner]:
        """The tasks at work, by partition."""
        return self._runners

    def run(
        self,
        stopped: Callable[[], bool],
        opened: Callable[[], None] = lambda: None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Work until stopped, or until the source has no more; then finish what is owed.

        Parameters
        ----------
        stopped
            Looked at between polls.
        opened
            Called when the source is open.
        between
            Called between polls, where a control input (`reload`) may be given.

        Raises
        ------
        streamer.errors.TapewatchError
            When the source, the store or the fold itself is not as it must be. Nothing is
            checkpointed then: the next start recovers from what was committed.
        """
        with ExitStack() as leaving:
            if self._checkpointer is not None:
                leaving.callback(self._checkpointer.close)
            leaving.callback(self._source.close)
            self._source.open(self)
            opened()
            while not stopped():
                chunks = self._source.poll(_POLL_S)
                for chunk in chunks:
                    self._feed(chunk)
                if not chunks:
                    self._pass_holes()
                    if self._source.exhausted():
                        break
                self._insert_timers()
                self._checkpoint()
                between()
            self._finish(list(self._runners.values()))

    def assigned(self, logs: Sequence[Log]) -> Mapping[Partition, int]:
        """Take over partitions: recover each task, and say where to read on.

        One that is at work already (its log is not where it was) is finished first, so that nothing
        it has read counts as lost.
        """
        self.revoked([log.partition for log in logs if log.partition in self._runners])
        runners = self._recovery.recover(logs)
        taken = {log.partition: runner for log, runner in zip(logs, runners, strict=True)}
        self._runners.update(taken)
        return {partition: runner.position for partition, runner in taken.items()}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Give partitions up, with all that is owed for them written."""
        leaving = [self._runners.pop(partition) for partition in partitions if partition in self._runners]
        for partition in partitions:
            self._pulses.pop(partition, None)
        if leaving:
            self._finish(leaving)

    def reload(self, plan: Plan) -> None:
        """Go on under another plan: every task at once, and those that come later.

        What a task has consumed so far is committed under the plan it was consumed under, together
        with the reload. A task that still follows a stored journal turns at its end.
        """
        self._recovery.turn_to(plan)
        for runner in self._runners.values():
            runner.turn_to(plan)

    def _feed(self, chunk: Chunk) -> None:
        runner = self._runners.get(chunk.partition)
        if runner is None:
            return  # given up by a rebalance inside this poll; its new owner reads these again
        if chunk.records:
            runner.consume(chunk.records)
        if chunk.timer_ns is not None:
            runner.insert_timer(chunk.timer_ns, chunk.timer_number)

    def _pass_holes(self) -> None:
        """Go on with tasks whose journal names records that were compacted away at the end of the log."""
        waiting = [partition for partition, runner in self._runners.items() if not runner.live]
        at_end = self._source.at_end() if waiting else frozenset()
        for partition in waiting:
            if partition in at_end:
                self._runners[partition].pass_over()

    def _insert_timers(self) -> None:
        if self._timer_every_s is None or self._clock() < self._next_timer_at:
            return
        self._next_timer_at = self._clock() + self._timer_every_s
        at_end = self._source.at_end()
        for partition, runner in self._runners.items():
            pulse = self._pulse(partition, runner)
            if pulse is None or not runner.live or partition not in at_end:
                continue
            ts_ns = pulse.ts_ns + int((self._clock() - pulse.at_s) * NS_PER_SECOND)
            if ts_ns > runner.task.last_timer.ts_ns:
                runner.insert_timer(ts_ns)

    def _pulse(self, partition: Partition, runner: Runner) -> _Pulse | None:
        """The event time a timer counts from: the watermark, or a timer before a restart."""
        known = runner.task.watermark
        if known == NO_TIME:
            return None
        pulse = self._pulses.get(partition)
        if pulse is None:
            pulse = _Pulse(max(known, runner.task.last_timer.ts_ns), self._clock())
        elif known > pulse.ts_ns:
            pulse = _Pulse(known, self._clock())
        self._pulses[partition] = pulse
        return pulse

    def _checkpoint(self) -> None:
        if self._checkpointer is not None and self._checkpointer.work(self._runners.values()):
            self._tell_source()

    def _finish(self, runners: Sequence[Runner]) -> None:
        if self._checkpointer is not None:
            self._checkpointer.take_now(runners)
            self._tell_source()

    def _tell_source(self) -> None:
        self._source.commit({partition: runner.position for partition, runner in self._runners.items()})
