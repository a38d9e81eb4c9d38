"""Flow over a window: trades, messages, volume and notional, and the mean price of trades."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import HEARTBEAT, METRIC, ORDER, QUOTE, STATUS, TRADE, State
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import Banks, SharedCopies, ValueSeries
from detectors.features.windows import VERSION, OneEach, Weight, WindowSums
from detectors.kernels import kernel
from detectors.time_units import NS_PER_SECOND

_TRADES = frozenset({TRADE})
_EVENTS = frozenset({TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT})


class Quotient:
    """One windowed sum divided by another, NaN where the denominator is not positive.

    Parameters
    ----------
    numerator, denominator
        The sums.
    """

    def __init__(self, numerator: ValueSeries, denominator: ValueSeries) -> None:
        self._sums = {"numerator": numerator, "denominator": denominator}

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        for part in self._sums.values():
            part.grow(n_slots)

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        """The quotient at each row, this row included."""
        above, below = (part.step(rows) for part in self._sums.values())
        out = np.full(len(rows), np.nan)
        np.divide(above, below, out=out, where=below > 0)
        return out

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns; see `FeatureSet.rebase`."""
        for part in self._sums.values():
            part.rebase(slot, to)

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row."""
        for part in self._sums.values():
            part.forget(slot)

    def state(self, copies: SharedCopies) -> State:
        """An exact copy of the state."""
        return {
            f"{side}/{name}": array
            for side, part in self._sums.items()
            for name, array in part.state(copies).items()
        }

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        for side, part in self._sums.items():
            prefix = f"{side}/"
            part.restore(
                {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}
            )


def rate(window_ns: int, banks: Banks, kinds: frozenset[int]) -> ValueSeries:
    """Rows of these kinds per second."""
    return banks.of(WindowSums).add(window_ns, OneEach(kinds), per=window_ns // NS_PER_SECOND)


def ratio(window_ns: int, banks: Banks, numerator: Weight, denominator: Weight) -> Quotient:
    """One sum divided by another, both over the same window."""
    sums = banks.of(WindowSums)
    return Quotient(sums.add(window_ns, numerator), sums.add(window_ns, denominator))


def _traded_price(rows: FeatureRows) -> NDArray[np.float64]:
    return rows.field("price", _TRADES)


def _traded_size(rows: FeatureRows) -> NDArray[np.float64]:
    return rows.field("size", _TRADES)


def _traded_notional(rows: FeatureRows) -> NDArray[np.float64]:
    return rows.field("notional", _TRADES)


def _price_of_sized_trades(rows: FeatureRows) -> NDArray[np.float64]:
    return rows.field("price", _TRADES) * rows.field("size", _TRADES)


def _size_of_priced_trades(rows: FeatureRows) -> NDArray[np.float64]:
    size = rows.field("size", _TRADES)
    return np.where(np.isfinite(rows.field("price", _TRADES)), size, np.nan)


def _priced_trades(rows: FeatureRows) -> NDArray[np.float64]:
    return np.where(np.isfinite(rows.field("price", _TRADES)), 1.0, np.nan)


@kernel
def _log1p(values):  # type: ignore[no-untyped-def]
    # One scalar call per row, since the last bit of a vectorised logarithm may depend on the array's length.
    # A value equal to the one on the row before needs no call.
    out = np.empty_like(values)
    previous, log = np.nan, np.nan
    for row in range(values.shape[0]):
        if values[row] == values[row]:
            if values[row] != previous:
                previous, log = values[row], math.log1p(values[row])
            out[row] = log
        else:
            out[row] = np.nan
    return out


FAMILIES = (
    Family(
        stem="trade_rate",
        doc="trades per second over the window",
        unit="per_second",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset(),
        build=lambda window, banks: rate(window, banks, _TRADES),
        version=VERSION,
    ),
    Family(
        stem="message_rate",
        doc="events of any kind per second over the window",
        unit="per_second",
        shape="positive",
        fed_by=_EVENTS,
        needs=frozenset(),
        build=lambda window, banks: rate(window, banks, _EVENTS),
        version=VERSION,
    ),
    Family(
        stem="volume",
        doc="size traded over the window",
        unit="number",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset({"size"}),
        build=lambda window, banks: banks.of(WindowSums).add(window, _traded_size),
        version=VERSION,
    ),
    Family(
        stem="notional",
        doc="money traded (price times size) over the window",
        unit="number",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset({"notional"}),
        build=lambda window, banks: banks.of(WindowSums).add(window, _traded_notional),
        version=VERSION,
    ),
    Family(
        stem="log_notional",
        doc="log(1 + money traded) over the window",
        unit="number",
        shape="level",
        fed_by=_TRADES,
        needs=frozenset({"notional"}),
        build=None,
        version=2,
        of="notional",
        convert=_log1p,
    ),
    Family(
        stem="mean_price",
        doc="mean price of the trades in the window, NaN where there were none",
        unit="number",
        shape="level",
        fed_by=_TRADES,
        needs=frozenset({"price"}),
        build=lambda window, banks: ratio(window, banks, _traded_price, _priced_trades),
        version=VERSION,
    ),
    Family(
        stem="vwap",
        doc="volume-weighted mean price of the trades in the window, NaN where there were none",
        unit="number",
        shape="level",
        fed_by=_TRADES,
        needs=frozenset({"price", "size"}),
        build=lambda window, banks: ratio(window, banks, _price_of_sized_trades, _size_of_priced_trades),
        version=VERSION,
    ),
)
