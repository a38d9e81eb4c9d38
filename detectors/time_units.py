"""Units of time in nanoseconds, in which clocks and windows are kept."""

from __future__ import annotations

NS_PER_SECOND = 1_000_000_000
