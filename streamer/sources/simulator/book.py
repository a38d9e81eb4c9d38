"""Orders that rest in the book of one instrument."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_MANY = 500  # when it is worth looking for those that are gone


@dataclass(slots=True)
class Resting:
    """An order that waits; `gone` once it was filled or cancelled."""

    order_id: str
    account: str
    sign: int
    price: float
    size: float
    gone: bool = False


class Book:
    """Resting orders by side, the oldest first."""

    def __init__(self) -> None:
        self._sides: dict[int, deque[Resting]] = {1: deque(), -1: deque()}

    def add(self, order: Resting) -> None:
        """An order comes to rest."""
        side = self._sides[order.sign]
        side.append(order)
        if len(side) > _MANY:
            self._sides[order.sign] = deque(each for each in side if not each.gone)

    def meet(self, sign: int) -> Resting | None:
        """The order that an aggressive one of this sign trades with, None where none is left."""
        side = self._sides[-sign]
        while side:
            order = side.popleft()
            if not order.gone:
                order.gone = True
                return order
        return None
