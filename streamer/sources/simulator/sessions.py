"""When a market is open, and how busy it is: the shape of the day, and calm and bursting phases within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 390 * 60
"""A trading day, after which the shape repeats: 390 minutes, as on US stock exchanges."""

_CALM, _USUAL, _BURST = range(3)
_RATE = np.array([0.5, 1.0, 3.5])
_VOLATILITY = np.array([0.8, 1.0, 1.3])
_MEAN_DURATION_S = np.array([150.0, 120.0, 12.0])
_TRANSITION = np.array([[0.0, 0.8, 0.2], [0.6, 0.0, 0.4], [0.3, 0.7, 0.0]])
_OPEN_AND_CLOSE, _MIDDAY = 1.9, 0.6


@dataclass(frozen=True, slots=True)
class TradingSession:
    """When a market is open.

    Parameters
    ----------
    start_ns
        When it opens, ns since 1970 UTC.
    seconds
        How long it is open.
    """

    start_ns: int
    seconds: int


def day_shape(second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Activity over the day relative to its average, U-shaped.

    Parameters
    ----------
    second
        float64[n], seconds since the first open.

    Examples
    --------
    >>> day_shape(np.array([0.0, DAY_S / 2, DAY_S])).round(2).tolist()
    [1.9, 0.6, 1.9]
    """
    from_midday = 2.0 * (second % DAY_S) / DAY_S - 1.0
    return _MIDDAY + (_OPEN_AND_CLOSE - _MIDDAY) * from_midday**2


@dataclass(frozen=True, slots=True)
class Pace:
    """How busy and how volatile one instrument is, second by second.

    Parameters
    ----------
    rate
        float64[seconds], multiple of its average activity.
    volatility
        float64[seconds], multiple of its usual move per order.
    """

    rate: NDArray[np.float64]
    volatility: NDArray[np.float64]


def draw_pace(seconds: int, rng: np.random.Generator) -> Pace:
    """Draw an instrument's pace for a number of seconds.

    Calm, usual and bursting phases follow one another as a semi-Markov chain with exponential durations.
    Within a phase each second's rate is gamma distributed around it, which clusters arrivals further.
    """
    phase = np.empty(seconds, np.int64)
    at, current = 0, _USUAL
    while at < seconds:
        duration = 1 + int(rng.exponential(_MEAN_DURATION_S[current]))
        phase[at : at + duration] = current
        at += duration
        current = int(rng.choice(3, p=_TRANSITION[current]))
    noise = rng.gamma(2.0, 0.5, seconds)
    rate = _RATE[phase] * noise * day_shape(np.arange(seconds, dtype=np.float64))
    return Pace(rate, _VOLATILITY[phase])
