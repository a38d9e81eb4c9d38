"""Which parts of a task's state can have changed since it was last looked at."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_LEAST = 64


class Touched:
    """The slots that had events, and the rules that timers stepped for all slots.

    It costs next to nothing to keep, and saves comparing the whole state. At first everything counts as
    touched.

    Examples
    --------
    >>> touched = Touched()
    >>> touched.slots(3) is None
    True
    >>> touched.clear()
    >>> touched.mark([2])
    >>> touched.slots(3).tolist(), touched.rule(0)
    ([False, False, True], False)
    """

    def __init__(self) -> None:
        self._slots = np.zeros(_LEAST, np.bool_)
        self._rules: set[int] = set()
        self._all = True

    def mark(self, slots: NDArray[np.integer] | list[int]) -> None:
        """Something of these slots can have changed."""
        try:
            self._slots[slots] = True
        except IndexError:
            self._slots = np.concatenate((self._slots, np.zeros(np.max(slots) + 1, np.bool_)))
            self._slots[slots] = True

    def mark_rules(self, rules: Iterable[int]) -> None:
        """Episodes of these rules, by number, can have changed in any slot."""
        self._rules.update(rules)

    def mark_all(self) -> None:
        """Anything can have changed."""
        self._all = True

    def slots(self, n_slots: int) -> NDArray[np.bool_] | None:
        """bool[n_slots], which slots can have changed; None where all can."""
        if self._all:
            return None
        found = np.zeros(n_slots, np.bool_)
        known = self._slots[:n_slots]
        found[: len(known)] = known
        return found

    def rule(self, number: int) -> bool:
        """Whether any slot's episode of this rule can have changed."""
        return self._all or number in self._rules

    def clear(self) -> None:
        """From now on nothing has changed."""
        self._slots[:] = False
        self._rules.clear()
        self._all = False
