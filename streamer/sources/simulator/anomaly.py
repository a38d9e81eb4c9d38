"""One planted anomaly, and its effect on prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One planted anomaly: the ground truth that alerts are compared with.

    Parameters
    ----------
    kind
        A name of `streamer.sources.simulator.anomalies.KINDS`.
    symbol
        The instrument.
    start_ns, end_ns
        Event time of its beginning and end.
    """

    kind: str
    symbol: str
    start_ns: int
    end_ns: int

    def covers(self, ts: int) -> bool:
        """Whether it is active at this time."""
        return self.start_ns <= ts <= self.end_ns


@dataclass(frozen=True, slots=True)
class PriceShape:
    """An anomaly's effect on prices while it lasts.

    Parameters
    ----------
    shift
        Its shift of the log price at a time.
    quote
        Turns the ordinary bid and ask into those quoted.
    """

    shift: Callable[[int], float] = lambda ts: 0.0
    quote: Callable[[float, float], tuple[float, float]] = lambda bid, ask: (bid, ask)
