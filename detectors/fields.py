"""The numeric event fields that baselines and detectors can look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from detectors.event_columns import METRIC, ORDER, QUOTE, TRADE

Shape = Literal["signed", "positive", "level"]
"""How a number behaves: around zero, upwards from zero, or around a level of its own."""


@dataclass(frozen=True, slots=True)
class NumericField:
    """A numeric field of events.

    Parameters
    ----------
    kinds
        The kinds of events that carry it. Where there are several, the first is the one that
        other kinds of rows look at.
    shape
        How its values behave.
    """

    kinds: tuple[int, ...]
    shape: Shape


FIELDS: Mapping[str, NumericField] = MappingProxyType(
    {
        "price": NumericField((TRADE, ORDER), "level"),
        "size": NumericField((TRADE, ORDER), "positive"),
        "notional": NumericField((TRADE,), "positive"),
        "leaves_size": NumericField((ORDER,), "positive"),
        "last_size": NumericField((ORDER,), "positive"),
        "bid_price": NumericField((QUOTE,), "level"),
        "ask_price": NumericField((QUOTE,), "level"),
        "bid_size": NumericField((QUOTE,), "positive"),
        "ask_size": NumericField((QUOTE,), "positive"),
        "value": NumericField((METRIC,), "level"),
    }
)
"""By name. `notional`, price times size, is computed by the task on trades."""
