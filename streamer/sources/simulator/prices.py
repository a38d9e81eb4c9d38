"""Where the price goes: a random walk that moves when orders come, and gives way to those nobody expected."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamer.sources.simulator.flow import Moments
from streamer.sources.simulator.instruments import Spec

_OF_ORDERS = 0.6  # the share of a moment's move that aggressive orders make


class Prices:
    """The fair price of one instrument.

    The more comes in, the more it moves, and it moves more in nervous stretches: over a second that is a
    mixture of normal laws, with heavier tails than any of them.

    Parameters
    ----------
    spec
        Which instrument.
    rng
        Its own source of chance.
    """

    def __init__(self, spec: Spec, rng: np.random.Generator) -> None:
        self._log = math.log(spec.price)
        self._step = 1e-4 * spec.volatility_bps / math.sqrt(spec.activity)
        self._rng = rng

    def fair(self, moments: Moments) -> NDArray[np.float64]:
        """The price after each moment, float64[m]."""
        m = len(moments.ts)
        news = (1.0 - _OF_ORDERS) * self._rng.standard_normal(m)
        orders = _OF_ORDERS * moments.surprise
        path = self._log + np.cumsum(self._step * moments.volatility * (news + orders))
        if m:
            self._log = float(path[-1])
        return np.exp(path)
