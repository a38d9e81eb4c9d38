"""The top of the book: spread, mid, imbalance, and how far a trade was from the mid."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import QUOTE, TRADE, State
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import SharedCopies
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

_QUOTES = frozenset({QUOTE})
_TRADES = frozenset({TRADE})


@kernel
def _spread_bps(bid, ask):  # type: ignore[no-untyped-def]
    return 1e4 * (ask - bid) / ((bid + ask) / 2.0) if bid > 0.0 and ask > 0.0 else np.nan


@kernel
def _mid(bid, ask):  # type: ignore[no-untyped-def]
    return (bid + ask) / 2.0 if bid > 0.0 and ask > 0.0 else np.nan


@kernel
def _imbalance(bid, ask):  # type: ignore[no-untyped-def]
    both = bid + ask
    return (bid - ask) / both if both > 0.0 else np.nan


_SPREAD, _MID, _IMBALANCE = range(3)


@kernel
def _is_two_sided(kind, bid, ask):  # type: ignore[no-untyped-def]
    return kind == QUOTE and math.isfinite(bid) and math.isfinite(ask)


@kernel
def _carry_rows(quantity, slot, kind, bid, ask, last, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        if _is_two_sided(kind[row], bid[row], ask[row]):
            if quantity == _SPREAD:
                value = _spread_bps(bid[row], ask[row])
            elif quantity == _MID:
                value = _mid(bid[row], ask[row])
            else:
                value = _imbalance(bid[row], ask[row])
            if not math.isnan(value):
                last[s] = value
        out[row] = last[s]


@kernel
def _distance_rows(slot, kind, bid, ask, price, mid, distance, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        if _is_two_sided(kind[row], bid[row], ask[row]):
            quoted = _mid(bid[row], ask[row])
            if not math.isnan(quoted):
                mid[s] = quoted
        elif kind[row] == TRADE and math.isfinite(price[row]):
            deviation = 1e4 * (price[row] / mid[s] - 1.0)
            if not math.isnan(deviation):
                distance[s] = deviation
        out[row] = distance[s]


class _Carried:
    """A value of the last quote that has it, carried forward; NaN before the first."""

    def __init__(self, quantity: int, bid: str, ask: str) -> None:
        self._quantity = quantity
        self._sides = (bid, ask)
        self._arrays = SlotArrays({"last": SlotColumn(np.float64, np.nan)})

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        bid, ask = (rows.column(side) for side in self._sides)
        _carry_rows(self._quantity, rows.slot, rows.kind, bid, ask, self._arrays["last"], out)
        return out

    def rebase(self, slot: int, to: int) -> None:
        pass  # values only, no times

    def forget(self, slot: int) -> None:
        self._arrays.forget(slot)

    def state(self, copies: SharedCopies) -> State:
        return copies.of(self._arrays)

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


class _TradeToMid:
    """A trade's distance from the mid before it, carried forward until the next trade."""

    def __init__(self) -> None:
        unknown = SlotColumn(np.float64, np.nan)
        self._arrays = SlotArrays({"mid": unknown, "distance": unknown})

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        _distance_rows(
            rows.slot,
            rows.kind,
            rows.column("bid_price"),
            rows.column("ask_price"),
            rows.column("price"),
            self._arrays["mid"],
            self._arrays["distance"],
            out,
        )
        return out

    def rebase(self, slot: int, to: int) -> None:
        pass  # values only, no times

    def forget(self, slot: int) -> None:
        self._arrays.forget(slot)

    def state(self, copies: SharedCopies) -> State:
        return copies.of(self._arrays)

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


FAMILIES = (
    Family(
        stem="spread_bps",
        doc="ask less bid over the mid of the last two-sided quote, in basis points; negative when crossed",
        unit="bps",
        shape="positive",
        fed_by=_QUOTES,
        needs=frozenset({"bid_price", "ask_price"}),
        build=lambda _window, _banks: _Carried(_SPREAD, "bid_price", "ask_price"),
        windowed=False,
    ),
    Family(
        stem="mid",
        doc="half way between bid and ask of the last quote that has both",
        unit="number",
        shape="level",
        fed_by=_QUOTES,
        needs=frozenset({"bid_price", "ask_price"}),
        build=lambda _window, _banks: _Carried(_MID, "bid_price", "ask_price"),
        windowed=False,
    ),
    Family(
        stem="imbalance",
        doc="(bid size - ask size) / (bid size + ask size) at the top of the book, from -1 to 1",
        unit="ratio",
        shape="signed",
        fed_by=_QUOTES,
        needs=frozenset({"bid_size", "ask_size"}),
        build=lambda _window, _banks: _Carried(_IMBALANCE, "bid_size", "ask_size"),
        windowed=False,
    ),
    Family(
        stem="trade_to_mid_bps",
        doc="the last trade's price over the mid that stood when it came, less one, in basis points",
        unit="bps",
        shape="signed",
        fed_by=_TRADES,
        needs=frozenset({"price", "bid_price", "ask_price"}),
        build=lambda _window, _banks: _TradeToMid(),
        windowed=False,
    ),
)
