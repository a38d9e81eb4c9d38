"""The top of the book: spread, mid, imbalance, and how far a trade was from the mid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.columns import QUOTE, TRADE, State
from detectors.features.contract import Family, Rows
from detectors.slots import Column, SlotArrays

_QUOTES = frozenset({QUOTE})
_TRADES = frozenset({TRADE})


@njit(cache=True, nogil=True)
def _carry_rows(slot, value, last, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        if value[row] == value[row]:
            last[s] = value[row]
        out[row] = last[s]


class _Carried:
    """The last known value of something that some rows state; NaN before the first."""

    def __init__(self, stated: Callable[[Rows], NDArray[np.float64]]) -> None:
        self._stated = stated
        self._arrays = SlotArrays({"last": Column(np.float64, np.nan)})

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: Rows) -> NDArray[np.float64]:
        return self.carry(rows, self._stated(rows))

    def carry(self, rows: Rows, value: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        _carry_rows(rows.slot, value, self._arrays["last"], out)
        return out

    def state(self) -> State:
        return self._arrays.state()

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


class _TradeToMid:
    """A trade's distance from the mid that stood when it came, held until the next trade."""

    def __init__(self) -> None:
        self._mid = _Carried(_mid)
        self._distance = _Carried(_mid)

    def grow(self, n_slots: int) -> None:
        self._mid.grow(n_slots)
        self._distance.grow(n_slots)

    def step(self, rows: Rows) -> NDArray[np.float64]:
        mid = self._mid.step(rows)
        return self._distance.carry(rows, 1e4 * (rows.field("price", _TRADES) / mid - 1.0))

    def state(self) -> State:
        return {"mid": self._mid.state()["last"], "distance": self._distance.state()["last"]}

    def restore(self, state: State) -> None:
        self._mid.restore({"last": state["mid"]})
        self._distance.restore({"last": state["distance"]})


def _prices(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bid, ask = rows.field("bid_price", _QUOTES), rows.field("ask_price", _QUOTES)
    return np.where(bid > 0, bid, np.nan), np.where(ask > 0, ask, np.nan)


def _mid(rows: Rows) -> NDArray[np.float64]:
    bid, ask = _prices(rows)
    return (bid + ask) / 2.0


def _spread_bps(rows: Rows) -> NDArray[np.float64]:
    bid, ask = _prices(rows)
    return 1e4 * (ask - bid) / ((bid + ask) / 2.0)


def _imbalance(rows: Rows) -> NDArray[np.float64]:
    bid, ask = rows.field("bid_size", _QUOTES), rows.field("ask_size", _QUOTES)
    both = bid + ask
    out = np.full(len(rows), np.nan)
    np.divide(bid - ask, both, out=out, where=both > 0)
    return out


FAMILIES = (
    Family(
        stem="spread_bps",
        doc="ask less bid over the mid of the last whole quote, in basis points; negative when crossed",
        unit="bps",
        shape="positive",
        fed_by=_QUOTES,
        needs=frozenset({"bid_price", "ask_price"}),
        build=lambda _: _Carried(_spread_bps),
        windowed=False,
    ),
    Family(
        stem="mid",
        doc="half way between bid and ask of the last quote that has both",
        unit="number",
        shape="level",
        fed_by=_QUOTES,
        needs=frozenset({"bid_price", "ask_price"}),
        build=lambda _: _Carried(_mid),
        windowed=False,
    ),
    Family(
        stem="imbalance",
        doc="(bid size - ask size) / (bid size + ask size) at the top of the book, from -1 to 1",
        unit="ratio",
        shape="signed",
        fed_by=_QUOTES,
        needs=frozenset({"bid_size", "ask_size"}),
        build=lambda _: _Carried(_imbalance),
        windowed=False,
    ),
    Family(
        stem="trade_to_mid_bps",
        doc="the last trade's price over the mid that stood when it came, less one, in basis points",
        unit="bps",
        shape="signed",
        fed_by=_TRADES,
        needs=frozenset({"price", "bid_price", "ask_price"}),
        build=lambda _: _TradeToMid(),
        windowed=False,
    ),
)
