"""Wall-clock time for senders, which keeps what waits waiting as long as it was to when the clock is set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from alerts.clock import Clock
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries

log = structlog.get_logger(__name__)

SET_BY_S = 1.0
"""A wall clock that is this far from monotonic time was set; one that is only adjusted stays closer."""


class ClockWatch:
    """Tells the wall-clock time, and moves the times of waiting deliveries along when that clock is set.

    The store holds wall-clock times, which outlive the process. A clock that is set back an hour would
    otherwise make a delivery wait an hour more, one that is set forward would cut a pause short. Time in
    which the machine sleeps counts as a clock that was set.

    Parameters
    ----------
    database
        The open store.
    clock
        Wall-clock time.
    monotonic
        Monotonic seconds.
    """

    def __init__(
        self, database: Database, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._deliveries = StoreDeliveries(database)
        self._clock = clock
        self._monotonic = monotonic
        self._ahead = clock.now() - monotonic()
        self._lock = threading.Lock()  # all senders share it: waits are to be moved once

    def now(self) -> float:
        """Wall-clock seconds, by which all waits in the store are right."""
        with self._lock:
            now = self._clock.now()
            set_by = now - self._monotonic() - self._ahead
            if abs(set_by) >= SET_BY_S:
                self._deliveries.move_waits(set_by)
                self._ahead += set_by
                log.warning("the wall clock was set, waiting deliveries keep their waits", by_s=set_by)
            return now
