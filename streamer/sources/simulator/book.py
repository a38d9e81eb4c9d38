"""The resting orders of one instrument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_PURGE_ABOVE = 500  # orders on a side above which closed ones are removed


@dataclass(slots=True)
class RestingOrder:
    """A limit order in the book; `closed` once it was filled or cancelled."""

    order_id: str
    account: str
    sign: int
    price: float
    size: float
    closed: bool = False


class Book:
    """RestingOrder orders by side, the oldest first."""

    def __init__(self) -> None:
        self._sides: dict[int, deque[RestingOrder]] = {1: deque(), -1: deque()}

    def add(self, order: RestingOrder) -> None:
        """Add an order to its side."""
        side = self._sides[order.sign]
        side.append(order)
        if len(side) > _PURGE_ABOVE:
            self._sides[order.sign] = deque(resting for resting in side if not resting.closed)

    def match(self, sign: int) -> RestingOrder | None:
        """Close and return the order that an aggressive one of this sign trades with, if there is any."""
        side = self._sides[-sign]
        while side:
            order = side.popleft()
            if not order.closed:
                order.closed = True
                return order
        return None
