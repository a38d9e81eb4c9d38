"""The price process: a random walk that moves when orders arrive, most of all with unexpected ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamer.sources.simulator.flow import OrderArrivals
from streamer.sources.simulator.instruments import Spec

_ORDER_SHARE = 0.6  # the share of a move that is due to the sign of aggressive orders


class Prices:
    """The fair price of one instrument.

    It moves with every order, and more in volatile stretches: over a second that is a mixture of normal
    distributions, with heavier tails than any of them.

    Parameters
    ----------
    spec
        The instrument.
    rng
        Its own random generator.
    """

    def __init__(self, spec: Spec, rng: np.random.Generator) -> None:
        self._log = math.log(spec.price)
        self._step = 1e-4 * spec.volatility_bps / math.sqrt(spec.activity)
        self._rng = rng

    def fair(self, arrivals: OrderArrivals) -> NDArray[np.float64]:
        """The price after each arrival, float64[m]."""
        m = len(arrivals.ts)
        news = (1.0 - _ORDER_SHARE) * self._rng.standard_normal(m)
        orders = _ORDER_SHARE * arrivals.surprise
        path = self._log + np.cumsum(self._step * arrivals.volatility * (news + orders))
        if m:
            self._log = float(path[-1])
        return np.exp(path)
