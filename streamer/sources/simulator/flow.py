"""Order flow: when orders arrive, on which side, how large.

The signs of aggressive orders come in runs of Zipf distributed length: large orders are split, which gives
signs a long memory (F. Lillo, S. Mike and J. D. Farmer, "Theory for long memory in supply and demand",
Physical Review E 71, 2005). One aggressive order meets several resting ones and so causes several trades at
one time.
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
_SINGLE_SHARE = 0.25  # share of aggressive orders that belong to no run
_SIGN_CORRELATION = 0.4  # how far the last sign predicts the next one
_TRADES_P = 0.34  # of a geometric distribution: three trades per aggressive order on average
_MAX_TRADES = 12
_SIZE_SIGMA = 1.2
_LARGEST = 12.0  # times the mean: larger orders would be split


@dataclass(frozen=True, slots=True)
class OrderArrivals:
    """The arrivals of m orders.

    Parameters
    ----------
    ts
        int64[m], ns, non-decreasing.
    aggressive
        bool[m]: the order trades at once; else it rests.
    sign
        int64[m]: 1 buys, -1 sells.
    surprise
        float64[m], the sign minus its prediction from the previous one; 0 for resting orders.
    trades
        int64[m], how many resting orders an aggressive one meets.
    volatility
        float64[m], multiple of the usual move.
    """

    ts: NDArray[np.int64]
    aggressive: NDArray[np.bool_]
    sign: NDArray[np.int64]
    surprise: NDArray[np.float64]
    trades: NDArray[np.int64]
    volatility: NDArray[np.float64]


class Flow:
    """The order flow of one instrument, drawn interval by interval.

    Parameters
    ----------
    spec
        The instrument.
    pace
        How busy it is.
    start_ns
        The time of second 0 of `pace`.
    rng
        Its own random generator.
    """

    def __init__(self, spec: Spec, pace: Pace, start_ns: int, rng: np.random.Generator) -> None:
        self._spec = spec
        self._pace = pace
        self._start_ns = start_ns
        self._rng = rng
        self._sign = 1
        self._run_left = 0
        self._last_sign = 1

    def arrivals(self, first: int, last: int) -> OrderArrivals:
        """The orders that arrive from second `first` up to, not including, second `last`."""
        rng = self._rng
        rate = self._pace.rate[first:last] * self._spec.activity
        second = np.repeat(np.arange(first, last), rng.poisson(rate))
        m = len(second)
        within = np.sort(second + rng.random(m))
        ts = self._start_ns + (within * NS_PER_SECOND).astype(np.int64) // _US * _US
        aggressive = rng.random(m) < _AGGRESSIVE
        sign = rng.choice(np.array([-1, 1]), m)
        signs = self._aggressive_signs(int(aggressive.sum()))
        sign[aggressive] = signs
        surprise = np.zeros(m)
        previous = np.concatenate([[self._last_sign], signs])[: len(signs)]
        surprise[aggressive] = signs - _SIGN_CORRELATION * previous
        if len(signs):
            self._last_sign = int(signs[-1])
        trades = np.minimum(rng.geometric(_TRADES_P, m), _MAX_TRADES)
        return OrderArrivals(ts, aggressive, sign, surprise, trades, self._pace.volatility[second])

    def sizes(self, count: int) -> NDArray[np.float64]:
        """Sizes as multiples of the mean, log-normal with a cap."""
        drawn = self._rng.lognormal(-(_SIZE_SIGMA**2) / 2, _SIZE_SIGMA, count)
        return np.minimum(drawn, _LARGEST)

    def _aggressive_signs(self, count: int) -> NDArray[np.int64]:
        signs = np.empty(count, np.int64)
        at = 0
        while at < count:
            if self._run_left == 0:
                self._sign = 1 if self._rng.random() < 0.5 else -1
                self._run_left = min(int(self._rng.zipf(_RUN_TAIL)), _LONGEST_RUN)
            length = min(self._run_left, count - at)
            signs[at : at + length] = self._sign
            self._run_left -= length
            at += length
        single = self._rng.random(count) < _SINGLE_SHARE
        return np.where(single, self._rng.choice(np.array([-1, 1]), count), signs)
