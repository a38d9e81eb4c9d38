"""Which instrument gives up its place for a newcomer: the longest unseen, if it was unseen for long enough.

That is told by the log's time, which may be a lie, and what is forgotten cannot be had back. So it must be
attested that a time has come: by some instruments that were there before it and have been seen since, or by
so many records in a row that the clock guard hardly takes it back either. Until then only a few give up their
places in an hour of the log's time, which is enough for a small feed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.pipeline import clock_kernels as k

NOBODY = -1
"""Stands for the slot of the instrument that gives up its place where none does."""

NEVER = int(np.iinfo(np.int64).max)

_FEW_WITHOUT_PROOF = k.FEW
_HOUR_NS = 3_600_000_000_000
_AT_ONCE = 64  # found in one pass over all slots: many newcomers come together


class UnseenOrder:
    """The order in which a log's instruments were last seen.

    All of it follows from the arrays of `clock_kernels`; what it keeps only saves time.

    Parameters
    ----------
    forget_after_ns
        How long an instrument must be unseen to give up its place, ns; 0 for never.

    Examples
    --------
    >>> own, log = np.zeros((2, len(k.OWN)), np.int64), np.zeros(len(k.LOG), np.int64)
    >>> own[:, k.EVENT], own[:, k.SEEN] = (9, 7), (600, 500)
    >>> unseen = UnseenOrder(100)
    >>> unseen.may_give(own), unseen.choose(own, log, np.zeros(k.MANY, np.int64), 601)
    (600, 1)
    >>> unseen.choose(own, log, np.zeros(k.MANY, np.int64), 599) == NOBODY
    True
    """

    def __init__(self, forget_after_ns: int) -> None:
        self.forget_after = forget_after_ns
        self._order: list[tuple[int, int]] = []
        self._unattested = (-1, -1)

    def may_give(self, own: NDArray[np.int64]) -> int:
        """The watermark, ns, from which on an instrument may give up its place; `NEVER` where none does.

        Parameters
        ----------
        own
            int64[slots, `OWN`] of all instruments.
        """
        if not self.forget_after or not len(own):
            return NEVER
        return int(own[self._oldest(own), k.SEEN]) + self.forget_after

    def choose(
        self, own: NDArray[np.int64], log: NDArray[np.int64], held: NDArray[np.int64], now: int
    ) -> int:
        """The slot of the instrument that gives up its place, `NOBODY` if none does.

        Parameters
        ----------
        own, log, held
            The state; see `clock_kernels.fold_rows`. What is given without proof is counted in `log`.
        now
            The watermark at the newcomer's event, ns.
        """
        since = self.may_give(own)
        if now < since:
            return NOBODY
        oldest = self._oldest(own)
        if not self._is_attested(own, log, held, since):
            hour = now // _HOUR_NS
            if log[k.GIVEN_HOUR] != hour:
                log[k.GIVEN_HOUR], log[k.GIVEN_N] = hour, 0
            if log[k.GIVEN_N] >= _FEW_WITHOUT_PROOF:
                return NOBODY
            log[k.GIVEN_N] += 1
        return oldest

    def begin_anew(self) -> None:
        """The arrays were restored or taken back: look at all of them again."""
        self._order, self._unattested = [], (-1, -1)

    def _is_attested(
        self, own: NDArray[np.int64], log: NDArray[np.int64], held: NDArray[np.int64], time: int
    ) -> bool:
        if log[k.HELD_N] == k.MANY and held.min() >= time:
            return True
        asked = int(log[k.EVENTS]), time
        if asked == self._unattested:  # what refuses many newcomers is looked at once
            return False
        if k.is_attested(own, len(own), time):
            return True
        self._unattested = asked
        return False

    def _oldest(self, own: NDArray[np.int64]) -> int:
        """The slot whose last event has the lowest number.

        Numbers only rise, so the lowest of one pass stay the lowest, in their order, unless seen since.
        """
        while self._order:
            number, slot = self._order[-1]
            if own[slot, k.EVENT] == number:
                return slot
            self._order.pop()
        numbers = own[:, k.EVENT].copy()
        count = min(_AT_ONCE, len(numbers))
        lowest = np.argpartition(numbers, count - 1)[:count] if count < len(numbers) else np.arange(count)
        self._order = sorted(zip(numbers[lowest].tolist(), lowest.tolist(), strict=True), reverse=True)
        return self._order[-1][1]
