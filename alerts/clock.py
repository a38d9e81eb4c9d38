"""What tells the time to whatever talks to the world; tests bring one of their own."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall-clock time, in seconds since 1970 UTC."""

    def now(self) -> float:
        """The time now."""
