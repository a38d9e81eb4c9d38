"""One planted anomaly, and how it bends prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One planted anomaly: what a perfect watcher would have named.

    Parameters
    ----------
    kind
        A name of `streamer.sources.simulator.anomalies.KINDS`.
    symbol
        The instrument.
    start_ns, end_ns
        Event time of its first sign, and of its last.
    """

    kind: str
    symbol: str
    start_ns: int
    end_ns: int

    def covers(self, ts: int) -> bool:
        """Whether it goes on at this time."""
        return self.start_ns <= ts <= self.end_ns


@dataclass(frozen=True, slots=True)
class PriceShape:
    """How an anomaly bends prices while it lasts.

    Parameters
    ----------
    shift
        By how much the log price is off at a time.
    quote
        What becomes of bid and ask.
    """

    shift: Callable[[int], float] = lambda ts: 0.0
    quote: Callable[[float, float], tuple[float, float]] = lambda bid, ask: (bid, ask)
