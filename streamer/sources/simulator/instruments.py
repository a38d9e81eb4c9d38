"""The instruments of the simulated market."""

from __future__ import annotations

from dataclasses import dataclass

VENUE = "sim"


@dataclass(frozen=True, slots=True)
class Spec:
    """One simulated instrument.

    Parameters
    ----------
    symbol
        Its name.
    price
        Its price when the market opens.
    decimals
        Decimals of its price.
    tick_units
        Tick size in units of the last decimal.
    activity
        Orders per second, on average.
    notional
        Mean value of a trade.
    volatility_bps
        Standard deviation of a second's log return at average activity, in basis points.
    """

    symbol: str
    price: float
    decimals: int
    tick_units: int
    activity: float
    notional: float
    volatility_bps: float

    @property
    def tick(self) -> float:
        """The tick size.

        >>> INSTRUMENTS[0].tick
        0.5
        """
        return self.tick_units / 10.0**self.decimals

    @property
    def size(self) -> float:
        """Mean size of a trade."""
        return self.notional / self.price


INSTRUMENTS: tuple[Spec, ...] = (
    Spec("AURUSD", 61_800.0, 1, 5, 6.0, 6_000.0, 1.1),
    Spec("BRIUSD", 2_640.0, 2, 2, 4.0, 5_000.0, 1.3),
    Spec("CELUSD", 158.0, 3, 2, 3.0, 5_000.0, 1.4),
    Spec("DELUSD", 24.3, 4, 4, 2.5, 4_500.0, 1.3),
    Spec("ELMUSD", 7.15, 4, 1, 2.0, 5_500.0, 1.6),
    Spec("FENUSD", 510.0, 2, 1, 1.6, 6_000.0, 1.4),
    Spec("GALUSD", 0.612, 5, 1, 1.3, 4_000.0, 1.8),
    Spec("HEXUSD", 88.4, 3, 2, 1.0, 6_500.0, 1.6),
    Spec("IRIUSD", 1_320.0, 2, 4, 0.8, 7_000.0, 1.6),
    Spec("JETUSD", 12.7, 4, 4, 0.7, 5_000.0, 1.8),
    Spec("KITUSD", 3.48, 5, 8, 0.6, 4_500.0, 1.9),
    Spec("LUXUSD", 245.0, 2, 1, 0.5, 6_000.0, 1.8),
)
"""A dozen invented instruments, from busy to quiet."""
