"""The only place that reads the wall clock."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's wall clock; an `alerts.clock.Clock`."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time()
