"""How many deliveries may be on their way to one receiver, and when none may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from alerts.receivers.receiver import RetryableError
from streamer.notify.retry_pace import RetryPace


class Throttle:
    """What a receiver takes at present, by what became of deliveries to it; from any thread.

    A receiver that asks for a pause gets one, and then one delivery at a time; each `calm_s` without such an
    answer allows one more. One that cannot be reached, or fails again and again, is tried with one delivery
    after growing pauses until something arrives.

    Parameters
    ----------
    pace
        How long pauses are.
    parallel
        Deliveries that may be on their way at once when all is well.
    monotonic
        Monotonic seconds.
    """

    def __init__(
        self, pace: RetryPace, parallel: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._pace = pace
        self._parallel = parallel
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._failed_at = self._paused_until = float("-inf")
        self._refused_at: float | None = None
        self._unreachable = False

    @property
    def probing(self) -> bool:
        """True while the receiver, not an alert, is at fault: one delivery at a time finds out."""
        with self._lock:
            return self._unreachable or self._failures >= self._pace.failures_in_a_row

    def pause_s(self) -> float:
        """For how long nothing may be sent; 0 for not at all."""
        with self._lock:
            return max(self._paused_until - self._monotonic(), 0.0)

    def allowed(self) -> int:
        """How many deliveries may be on their way."""
        if self.probing:
            return 1
        with self._lock:
            if self._refused_at is None:
                return self._parallel
            calm = int((self._monotonic() - self._refused_at) / self._pace.calm_s)
            return min(self._parallel, 1 + calm)

    def succeeded(self) -> None:
        """Something arrived, or was refused for good: the receiver works."""
        with self._lock:
            self._failures = 0
            self._unreachable = False

    def failed(self, error: RetryableError, began: float) -> None:
        """A turn failed that began then; those on their way together fail together, and count once."""
        with self._lock:
            now = self._monotonic()
            if began >= self._failed_at:
                self._failures += 1
            self._failed_at = now
            if error.retry_after_s is not None:
                self._refused_at = now
                pause = max(error.retry_after_s, self._pace.deferral(self._failures))
            elif error.everything or self._failures >= self._pace.failures_in_a_row:
                self._unreachable = self._unreachable or error.everything
                pause = self._pace.deferral(self._failures)
            else:
                return
            self._paused_until = max(self._paused_until, now + pause)
