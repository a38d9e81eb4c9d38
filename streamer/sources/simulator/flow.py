"""Order flow: when orders come, on which side, how large.

Signs of aggressive orders come in runs of Zipf distributed length: large orders are worked in pieces, which
gives signs a long memory (F. Lillo, S. Mike and J. D. Farmer, "Theory for long memory in supply and
demand", Physical Review E 71, 2005). One aggressive order meets several resting ones, and so makes several
trades at one time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator.instruments import Spec
from streamer.sources.simulator.sessions import Pace

_US = 1_000
_AGGRESSIVE = 0.35
_RUN_TAIL = 2.2
_LONGEST_RUN = 80
_OF_NO_RUN = 0.25  # the share of aggressive orders that belong to none
_EXPECTED = 0.4  # how much of the next sign the last one tells
_TRADES_OF_ONE = 0.34  # of a geometric law: three trades an aggressive order on average
_MOST_TRADES = 12
_SIZE_SIGMA = 1.2
_LARGEST = 12.0  # times the mean: beyond, an order would be sliced


@dataclass(frozen=True, slots=True)
class Moments:
    """Points in time at which an order comes in, m of them.

    Parameters
    ----------
    ts
        int64[m], ns, never falling.
    aggressive
        bool[m]: it trades at once; else it rests.
    sign
        int64[m]: 1 buys, -1 sells.
    surprise
        float64[m], the sign less what the one before let expect; 0 on resting orders.
    trades
        int64[m], how many resting orders an aggressive one meets.
    volatility
        float64[m], times the usual move.
    """

    ts: NDArray[np.int64]
    aggressive: NDArray[np.bool_]
    sign: NDArray[np.int64]
    surprise: NDArray[np.float64]
    trades: NDArray[np.int64]
    volatility: NDArray[np.float64]


class Flow:
    """The order flow of one instrument, a stretch of time after the other.

    Parameters
    ----------
    spec
        Which.
    pace
        How busy it is.
    start_ns
        When second 0 of `pace` is.
    rng
        Its own source of chance.
    """

    def __init__(self, spec: Spec, pace: Pace, start_ns: int, rng: np.random.Generator) -> None:
        self._spec = spec
        self._pace = pace
        self._start_ns = start_ns
        self._rng = rng
        self._sign = 1
        self._left = 0
        self._last = 1

    def moments(self, first: int, last: int) -> Moments:
        """What comes in the seconds from `first` up to, and without, `last`."""
        rng = self._rng
        rate = self._pace.rate[first:last] * self._spec.activity
        second = np.repeat(np.arange(first, last), rng.poisson(rate))
        m = len(second)
        within = np.sort(second + rng.random(m))
        ts = self._start_ns + (within * NS_PER_SECOND).astype(np.int64) // _US * _US
        aggressive = rng.random(m) < _AGGRESSIVE
        sign = rng.choice(np.array([-1, 1]), m)
        own = self._signs(int(aggressive.sum()))
        sign[aggressive] = own
        surprise = np.zeros(m)
        surprise[aggressive] = own - _EXPECTED * np.concatenate([[self._last], own])[: len(own)]
        if len(own):
            self._last = int(own[-1])
        trades = np.minimum(rng.geometric(_TRADES_OF_ONE, m), _MOST_TRADES)
        return Moments(ts, aggressive, sign, surprise, trades, self._pace.volatility[second])

    def sizes(self, count: int) -> NDArray[np.float64]:
        """Sizes as times the mean, log-normal with a cap."""
        drawn = self._rng.lognormal(-(_SIZE_SIGMA**2) / 2, _SIZE_SIGMA, count)
        return np.minimum(drawn, _LARGEST)

    def _signs(self, count: int) -> NDArray[np.int64]:
        found = np.empty(count, np.int64)
        at = 0
        while at < count:
            if self._left == 0:
                self._sign = 1 if self._rng.random() < 0.5 else -1
                self._left = min(int(self._rng.zipf(_RUN_TAIL)), _LONGEST_RUN)
            taken = min(self._left, count - at)
            found[at : at + taken] = self._sign
            self._left -= taken
            at += taken
        alone = self._rng.random(count) < _OF_NO_RUN
        return np.where(alone, self._rng.choice(np.array([-1, 1]), count), found)
