"""How many messages a receiver gets: ``20/m``, and no more in any minute."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

OFF = "off"
MINUTE_S = 60.0

_PATTERN = re.compile(r"([1-9][0-9]{0,4})/m")


def cap_per_minute(text: str) -> int | None:
    """Messages a minute, None for no cap.

    Raises
    ------
    ValueError
        When it is neither ``off`` nor a number a minute.

    Examples
    --------
    >>> cap_per_minute("20/m"), cap_per_minute("off")
    (20, None)
    >>> cap_per_minute("20/h")
    Traceback (most recent call last):
        ...
    ValueError: '20/h' is neither off nor messages a minute, such as 20/m
    """
    if text == OFF:
        return None
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither off nor messages a minute, such as 20/m")
    return int(found[1])


def _check(text: str) -> str:
    cap_per_minute(text)
    return text


CapText = Annotated[str, AfterValidator(_check)]
"""A setting that holds a cap, kept as it was written."""


class Budget:
    """Messages that may still go out: in any window, wherever it begins, at most so many.

    Parameters
    ----------
    cap
        How many; None for as many as there are.
    window_s
        The window's length in seconds.

    Examples
    --------
    >>> budget = Budget(2, 60.0)
    >>> budget.spend(0.0); budget.spend(50.0)
    >>> budget.left(55.0), budget.next_free(55.0), budget.left(60.0)
    (0, 60.0, 1)
    """

    def __init__(self, cap: int | None, window_s: float) -> None:
        self.window_s = window_s
        self._cap = cap
        self._sent: deque[float] = deque()

    @property
    def capped(self) -> bool:
        """True where there is a cap at all."""
        return self._cap is not None

    def remember(self, times: Iterable[float]) -> None:
        """Count messages that went out before, at these times in any order."""
        self._sent = deque(sorted((*self._sent, *times)))

    def left(self, now: float) -> int:
        """How many messages may go out now; a large number where there is no cap."""
        if self._cap is None:
            return 1_000_000
        while self._sent and self._sent[0] + self.window_s <= now:
            self._sent.popleft()
        return max(self._cap - len(self._sent), 0)

    def next_free(self, now: float) -> float:
        """When one may go out: `now`, or the time at which enough of the sent ones are a window old."""
        if self._cap is None or self.left(now) > 0:
            return now
        return self._sent[len(self._sent) - self._cap] + self.window_s

    def spend(self, now: float, count: int = 1) -> None:
        """Count messages that have gone out, or may have."""
        if self._cap is not None:
            self._sent.extend([now] * count)
