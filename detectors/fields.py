"""The numeric event fields that baselines and detectors can look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from detectors.columns import METRIC, ORDER, QUOTE, TRADE

Shape = Literal["signed", "positive", "level"]
"""How a number behaves: around zero, upwards from zero, or around a level of its own."""


@dataclass(frozen=True, slots=True)
class Field:
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


FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "price": Field((TRADE, ORDER), "level"),
        "size": Field((TRADE, ORDER), "positive"),
        "notional": Field((TRADE,), "positive"),
        "leaves_size": Field((ORDER,), "positive"),
        "last_size": Field((ORDER,), "positive"),
        "bid_price": Field((QUOTE,), "level"),
        "ask_price": Field((QUOTE,), "level"),
        "bid_size": Field((QUOTE,), "positive"),
        "ask_size": Field((QUOTE,), "positive"),
        "value": Field((METRIC,), "level"),
    }
)
"""By name. `notional`, price times size, is computed by the task on trades."""
