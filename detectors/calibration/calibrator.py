"""What a calibrator is: scores in, how rare they are out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State

LONGEST_S = 365 * 86_400.0
"""What a rarity is cut off at: beyond a year nothing that was seen can tell one score from another."""

LONGEST_OF_WATCHED = 100.0
"""A rarity is at most so many times as long as the task's instruments have been watched, added up: a
quarter of an hour of one instrument can tell that something comes less than once a day, not once a year."""

SMALLEST_CHANCE = 1e-9
"""What a chance is cut off at."""


@dataclass(frozen=True, slots=True, eq=False)
class Rarity:
    """How rare each of m scores is, judged by what came before it.

    Parameters
    ----------
    chance
        float64[m], the share of the instrument's scores that are as high or higher; 1 for all but
        its highest tenth, NaN while warming and where there is no score.
    seconds
        float64[m], a score this high comes once in so many seconds for this instrument, from 0 (it is
        not among the highest tenth) to `LONGEST_S`, and never more than `LONGEST_OF_WATCHED` times what
        was watched; NaN as for `chance`.
    """

    chance: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Calibrator(Protocol):
    """Turns the scores of one detector into rarities, for all instruments of a task together."""

    @property
    def spec(self) -> str:
        """Differs whenever the same scores could give other rarities."""

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""

    def step(
        self,
        slot: NDArray[np.int32],
        clock: NDArray[np.int64],
        offset: NDArray[np.int64],
        index: NDArray[np.int16],
        score: NDArray[np.float64],
    ) -> Rarity:
        """Judge each score by what came before it, then learn it.

        Parameters
        ----------
        slot
            int32[m], in arrival order.
        clock
            int64[m], ns, never running back within a slot.
        offset, index
            int64[m] and int16[m], which event it is: decides where equal scores are put, so that
            no generator has to be kept.
        score
            float64[m], higher is stranger; what is not finite is passed over and leaves no trace.
        """

    def ready(self) -> int:
        """How many slots have rarities."""

    def watched_s(self) -> float:
        """Seconds in which slots had rarities, added up over them; a silence counts for an hour at most."""

    def state(self) -> State:
        """An exact copy of the state."""

    def restore(self, state: State) -> None:
        """Go on from a copy."""
