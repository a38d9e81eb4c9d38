"""How many deliveries may be on their way to one receiver, and when none may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from alerts.receivers.receiver import RetryableError
from streamer.notify.retry_pace import RetryPace


class Throttle:
    """What a receiver takes at present, by what became of deliveries to it; from any thread.

    A receiver that asks for a pause gets one, and then one delivery at a time; each `calm_s` after it without
    such an answer allows one more. Where it asks that of edits, only they pause. One that cannot be reached,
    or fails again and again, is tried with one delivery
    after growing pauses until something arrives; news that matters cuts such a pause short.

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
        self._asked_until = self._edits_until = float("-inf")
        self._unreachable = False

    @property
    def probing(self) -> bool:
        """True while the receiver, not an alert, is at fault: one delivery at a time finds out."""
        with self._lock:
            return self._unreachable or self._failures >= self._pace.failures_in_a_row

    def pause_s(self) -> float:
        """For how long nothing may be sent; 0 for not at all."""
        with self._lock:
            return max(self._paused_until - self._monotonic(), self._asked_until - self._monotonic(), 0.0)

    def edits_pause_s(self) -> float:
        """For how long no edit may be sent; 0 for not at all."""
        with self._lock:
            return max(self._edits_until - self._monotonic(), 0.0)

    def cut_short_s(self) -> float | None:
        """When news that matters may cut the present pause short, in seconds; None where it was asked for."""
        with self._lock:
            now = self._monotonic()
            return (
                None
                if self._asked_until > now
                else max(self._failed_at + self._pace.least_pause_s - now, 0.0)
            )

    def cut_short(self) -> None:
        """End a pause that nobody asked for: what is sent next finds out whether the receiver is back."""
        with self._lock:
            self._paused_until = float("-inf")

    def allowed(self) -> int:
        """How many deliveries may be on their way."""
        if self.probing:
            return 1
        with self._lock:
            calm_s = max(self._monotonic() - self._asked_until, 0.0)
            return min(self._parallel, 1 + int(min(calm_s / self._pace.calm_s, self._parallel)))

    def succeeded(self) -> None:
        """Something arrived, or was refused for good: the receiver works."""
        with self._lock:
            self._failures = 0
            self._unreachable = False

    def failed(self, error: RetryableError, began: float) -> None:
        """A turn failed that began then; those on their way together fail together, and count once."""
        with self._lock:
            now = self._monotonic()
            if error.edits and error.retry_after_s is not None:
                self._failures, self._unreachable = 0, False  # it answers
                self._edits_until = max(self._edits_until, now + error.retry_after_s)
                return
            if began >= self._failed_at:
                self._failures += 1
            self._failed_at = now
            if error.retry_after_s is not None:
                asked = max(error.retry_after_s, self._pace.deferral(self._failures))
                self._asked_until = max(self._asked_until, now + asked)
                return
            if error.everything or self._failures >= self._pace.failures_in_a_row:
                self._unreachable = self._unreachable or error.everything
                pause = self._pace.deferral(self._failures)
                self._paused_until = max(self._paused_until, now + pause)
