"""The numeric event fields that baselines and detectors can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from detectors.event_columns import METRIC, ORDER, QUOTE, TRADE

Shape = Literal["signed", "positive", "level"]
"""How a number is distributed: around zero, from zero upwards, or around a level of its own."""


@dataclass(frozen=True, slots=True)
class NumericField:
    """A numeric field of events.

    Parameters
    ----------
    kinds
        The kinds of events that carry it. If there are several, rows of other kinds use the first kind's
        baseline.
    shape
        How its values are distributed.
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
