"""A wall clock that is believed only once it has kept its time: what is old is deleted by it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from alerts.clock import Clock
from streamer.store.kept_time import KeptTime

log = structlog.get_logger(__name__)

SET_BY_S: Final = 3_600.0
"""Seconds that a running wall clock must be ahead of the time that has passed to have been set."""

AWAY_S: Final = 3 * 86_400.0
"""Seconds between two runs that no start wonders at: nights and weekends."""

BELIEVED_AFTER_S: Final = 86_400.0
"""Seconds after which a clock that was set, and has kept its new time, is believed."""


def since_boot() -> float:
    """Monotonic seconds that go on while the machine is suspended, where there are such."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class BelievedTime:
    """The wall clock's time, or the time that has passed where the clock was set far ahead.

    Parameters
    ----------
    clock
        Wall-clock time.
    monotonic
        Monotonic seconds, those of a suspended machine among them.
    before
        What was believed in the run before; None if nothing is known of it.

    Examples
    --------
    >>> class Ahead:
    ...     def now(self) -> float:
    ...         return 1e9
    >>> BelievedTime(Ahead(), lambda: 5.0, None).now().believed
    1000000000.0
    >>> BelievedTime(Ahead(), lambda: 5.0, KeptTime(999_999_000.0)).now().believed
    1000000000.0
    """

    def __init__(self, clock: Clock, monotonic: Callable[[], float], before: KeptTime | None) -> None:
        self._clock = clock
        self._monotonic = monotonic
        now, passed = clock.now(), monotonic()
        self._ahead = self._new_ahead = now - passed
        self._set_at = passed
        self._doubted = False
        if before is not None and now > before.believed + AWAY_S:
            self._ahead = before.believed - passed
            if before.doubted_since is not None:
                self._set_at -= max(now - before.doubted_since, 0.0)

    def now(self) -> KeptTime:
        """What is believed now, to be given to the next run."""
        passed, now = self._monotonic(), self._clock.now()
        ahead = now - passed
        if abs(ahead - self._new_ahead) > SET_BY_S:  # the clock was set
            self._new_ahead, self._set_at = ahead, passed
        elif passed - self._set_at >= BELIEVED_AFTER_S:
            self._ahead = ahead
        doubted, self._doubted = self._doubted, ahead > self._ahead + SET_BY_S
        if not self._doubted:
            return KeptTime(now)
        if not doubted:
            log.warning("the wall clock was set far ahead; what is old goes by the time passed for a day")
        return KeptTime(passed + self._ahead, now - (passed - self._set_at))
