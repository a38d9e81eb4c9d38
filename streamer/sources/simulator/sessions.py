"""When a market is busy: the shape of the day, and stretches of calm and burst within it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 390 * 60
"""A trading day, after which the shape repeats: 390 minutes, as on the stock exchanges of the US."""

_CALM, _USUAL, _BURST = range(3)
_RATE = np.array([0.5, 1.0, 3.5])
_VOLATILITY = np.array([0.8, 1.0, 1.3])
_MEAN_STAY_S = np.array([150.0, 120.0, 12.0])
_NEXT = np.array([[0.0, 0.8, 0.2], [0.6, 0.0, 0.4], [0.3, 0.7, 0.0]])
_OPEN_AND_CLOSE, _MIDDAY = 1.9, 0.6


def day_shape(second: NDArray[np.float64]) -> NDArray[np.float64]:
    """How busy the market is at these seconds of the day against its average: a U.

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
    """How busy and how nervous one instrument is, second by second.

    Parameters
    ----------
    rate
        float64[seconds], times its average activity.
    volatility
        float64[seconds], times its usual move at one moment.
    """

    rate: NDArray[np.float64]
    volatility: NDArray[np.float64]


def draw_pace(seconds: int, rng: np.random.Generator) -> Pace:
    """Draw an instrument's pace for a number of seconds.

    Calm, usual and bursting stretches follow one another as a semi-Markov chain with exponential stays.
    Within a stretch each second's rate is gamma distributed around it, which clusters arrivals further.
    """
    stretch = np.empty(seconds, np.int64)
    at, now = 0, _USUAL
    while at < seconds:
        stay = 1 + int(rng.exponential(_MEAN_STAY_S[now]))
        stretch[at : at + stay] = now
        at += stay
        now = int(rng.choice(3, p=_NEXT[now]))
    unrest = rng.gamma(2.0, 0.5, seconds)
    rate = _RATE[stretch] * unrest * day_shape(np.arange(seconds, dtype=np.float64))
    return Pace(rate, _VOLATILITY[stretch])
