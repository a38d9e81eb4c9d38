"""How long joined logs wait for members that bring nothing, and whose members bring too much meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamer.messages.records import Partition
from streamer.pipeline.runner import Runner
from streamer.sources.source import Source

_LOOK_S = 0.1  # between two questions to the source for how far it is


class JoinWaits:
    """Lets joined logs go on without a member that has been at its end for long enough.

    Parameters
    ----------
    source
        Knows which members are read to their ends.
    clock
        Monotonic seconds.
    """

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._look_at = clock()
        self._since: dict[tuple[Partition, int], float] = {}
        self._withheld: frozenset[Partition] = frozenset()
        self.wait_s: dict[Partition, float] = {}
        """By log: how long a member at its end is waited for from what it brought last on, in seconds."""

    def look(self, runners: Iterable[Runner]) -> None:
        """Let logs go on that have waited for long enough; call it once what was polled is fed."""
        joined = [runner for runner in runners if runner.log.is_joined]
        if not joined and not self._withheld:
            return
        waiting = [runner for runner in joined if runner.awaited]
        if waiting:
            self._end_finished(waiting)
            self._pass_over([runner for runner in waiting if runner.awaited and runner.live])
        else:
            self._since.clear()
        full = frozenset[Partition]().union(*(runner.full for runner in joined if runner.awaited))
        if full != self._withheld:
            self._withheld = full
            self._source.withhold(full)

    def finish(self, runners: Iterable[Runner]) -> None:
        """Let logs go on to their ends: the source brings nothing more."""
        for runner in runners:
            if runner.live and runner.awaited:
                runner.end_members(runner.positions.keys())

    def _end_finished(self, waiting: Iterable[Runner]) -> None:
        finished = self._source.finished()
        for runner in waiting:
            if runner.awaited & finished:  # and all others, not one at a time as each comes to its end
                runner.end_members(finished & runner.positions.keys())

    def _pass_over(self, waiting: list[Runner]) -> None:
        now = self._clock()
        if not waiting or now < self._look_at:
            return
        self._look_at = now + min([_LOOK_S, *(self.wait_s[each.log.key] / 2 for each in waiting)])
        at_end = self._source.at_end()
        # also of those that are not awaited yet: members that fall silent together are waited for once
        brought = {runner: runner.brought_to for runner in waiting}
        ends = [end for of_log in brought.values() for end in of_log.items() if end[0] in at_end]
        self._since = {end: self._since.get(end, now) for end in ends}
        for runner, of_log in brought.items():
            long_since = now - self.wait_s[runner.log.key]
            silent = {end[0] for end in of_log.items() if self._since.get(end, now) <= long_since}
            while over := silent & runner.awaited:  # each that is passed over may leave another one awaited
                runner.pass_over(over)
                silent -= over
