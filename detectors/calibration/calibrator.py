"""The calibrator interface: it takes scores and says how rare each one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State

LONGEST_S = 365 * 86_400.0
"""Upper limit of a rarity: no history is long enough to tell scores apart beyond a year."""

LONGEST_OF_WATCHED = 100.0
"""A rarity is at most this many times the watched time, summed over the task's instruments: a quarter of an
hour of one instrument can show that a score comes less than once a day, but not once a year."""

SMALLEST_PROBABILITY = 1e-9
"""Lower limit of a tail probability."""


@dataclass(frozen=True, slots=True, eq=False)
class Rarity:
    """How rare each of m scores is, judged by the scores before it.

    Parameters
    ----------
    probability
        float64[m], the tail probability: the share of the instrument's scores that are as high or higher.
        1 outside its highest tenth, NaN during warm-up and where there is no score.
    seconds
        float64[m], the return period: a score this high comes once in so many seconds for this instrument.
        0 outside its highest tenth, at most `LONGEST_S` and `LONGEST_OF_WATCHED` times the watched time;
        NaN as for `probability`.
    """

    probability: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Calibrator(Protocol):
    """Turns the scores of one detector into rarities, for all instruments of a task together."""

    @property
    def spec(self) -> str:
        """Changes whenever the same scores could give different rarities."""

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""

    def step(
        self,
        slot: NDArray[np.int32],
        clock: NDArray[np.int64],
        instrument: NDArray[np.int64],
        score: NDArray[np.float64],
    ) -> Rarity:
        """Judge each score by the ones before it, then learn it.

        Parameters
        ----------
        slot
            int32[m], in arrival order.
        clock
            int64[m], ns, never decreasing within a slot.
        instrument
            int64[m], what tells the instrument from others wherever it comes, such as a hash of its name.
            With the number of its score it breaks ties between equal scores, so that no random generator is
            needed, and it does not matter where an event lies in its log.
        score
            float64[m], higher is stranger; scores that are not finite are skipped and leave no trace.
        """

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns: its clock was wrong, and no time of it stays later.

        The time that was counted up to its last score is taken back, an hour at most, as a silence counts;
        what scores have taught stays.
        """

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first score, to the bit; what it gave to a pool stays there."""

    def ready(self) -> int:
        """How many slots have left warm-up."""

    def watched_s(self) -> float:
        """Seconds during which slots had rarities, summed over slots; a silence counts as an hour at most."""

    def state(self) -> State:
        """An exact copy of the state."""

    def restore(self, state: State) -> None:
        """Continue from a copy."""
