"""How much passes: trades, messages, volume and notional over a window, and what it passed at."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.columns import HEARTBEAT, METRIC, ORDER, QUOTE, STATUS, TRADE, State
from detectors.features.contract import NS, Convert, Family, Rows
from detectors.features.windows import VERSION, Weigh, WindowSum
from detectors.kernels import kernel

_TRADES = frozenset({TRADE})
_EVENTS = frozenset({TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT})


class Flow(WindowSum):
    """A windowed sum, converted: per second, or its logarithm.

    Parameters
    ----------
    window_ns
        The window.
    weigh
        What each row adds.
    convert
        What is made of the sums, None for nothing.
    """

    def __init__(self, window_ns: int, weigh: Weigh, convert: Convert | None = None) -> None:
        super().__init__(window_ns, weigh)
        self._convert = convert

    def step(self, rows: Rows) -> NDArray[np.float64]:
        """The converted sum as of each row, this row included."""
        total = super().step(rows)
        return total if self._convert is None else self._convert(total)


class Quotient:
    """One windowed sum over another, NaN where there is nothing to divide by.

    Parameters
    ----------
    window_ns
        The window of both.
    numerator, denominator
        What each row adds to them.
    """

    def __init__(self, window_ns: int, numerator: Weigh, denominator: Weigh) -> None:
        self._sums = {
            "numerator": WindowSum(window_ns, numerator),
            "denominator": WindowSum(window_ns, denominator),
        }

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        for part in self._sums.values():
            part.grow(n_slots)

    def step(self, rows: Rows) -> NDArray[np.float64]:
        """The quotient as of each row, this row included."""
        above, below = (part.step(rows) for part in self._sums.values())
        out = np.full(len(rows), np.nan)
        np.divide(above, below, out=out, where=below > 0)
        return out

    def state(self) -> State:
        """An exact copy of the state."""
        return {
            f"{side}/{name}": array
            for side, part in self._sums.items()
            for name, array in part.state().items()
        }

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        for side, part in self._sums.items():
            prefix = f"{side}/"
            part.restore(
                {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}
            )


def one_per(kinds: frozenset[int]) -> Weigh:
    """Counts the rows of these kinds."""
    return lambda rows: np.where(rows.of(kinds), 1.0, np.nan)


def _traded(field: str) -> Weigh:
    return lambda rows: rows.field(field, _TRADES)


def _price_of_sized_trades(rows: Rows) -> NDArray[np.float64]:
    return rows.field("price", _TRADES) * rows.field("size", _TRADES)


def _size_of_priced_trades(rows: Rows) -> NDArray[np.float64]:
    size = rows.field("size", _TRADES)
    return np.where(np.isfinite(rows.field("price", _TRADES)), size, np.nan)


def _priced_trades(rows: Rows) -> NDArray[np.float64]:
    return np.where(np.isfinite(rows.field("price", _TRADES)), 1.0, np.nan)


def per_second(window_ns: int) -> Convert:
    """Turns what a window holds into a rate."""
    seconds = window_ns // NS
    return lambda total: total / seconds


@kernel
def _log1p(values):  # type: ignore[no-untyped-def]
    # A scalar call for each row: a vectorised log may differ in its last bit with the length.
    out = np.empty_like(values)
    for row in range(values.shape[0]):
        out[row] = math.log1p(values[row]) if values[row] == values[row] else np.nan
    return out


FAMILIES = (
    Family(
        stem="trade_rate",
        doc="trades per second over the window",
        unit="per_second",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset(),
        build=lambda window: Flow(window, one_per(_TRADES), per_second(window)),
        version=VERSION,
    ),
    Family(
        stem="message_rate",
        doc="events of any kind per second over the window",
        unit="per_second",
        shape="positive",
        fed_by=_EVENTS,
        needs=frozenset(),
        build=lambda window: Flow(window, one_per(_EVENTS), per_second(window)),
        version=VERSION,
    ),
    Family(
        stem="volume",
        doc="size traded over the window",
        unit="number",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset({"size"}),
        build=lambda window: Flow(window, _traded("size")),
        version=VERSION,
    ),
    Family(
        stem="notional",
        doc="money traded (price times size) over the window",
        unit="number",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset({"notional"}),
        build=lambda window: Flow(window, _traded("notional")),
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
        build=lambda window: Quotient(window, _traded("price"), _priced_trades),
        version=VERSION,
    ),
    Family(
        stem="vwap",
        doc="volume-weighted mean price of the trades in the window, NaN where there were none",
        unit="number",
        shape="level",
        fed_by=_TRADES,
        needs=frozenset({"price", "size"}),
        build=lambda window: Quotient(window, _price_of_sized_trades, _size_of_priced_trades),
        version=VERSION,
    ),
)
