"""The rate at which rarities come, over the rate they were asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANCES = (1e-2, 1e-3, 1e-4)
DAY_S = 86_400.0
TOGETHER_S = 1800.0  # what is closer together is one occasion
LONGEST_GAP_S = 3600.0  # nobody was there to see a longer one
REPEATED = 0.1  # share of equals among the highest tenth from which scores count as tied
NS = 1e9


@dataclass(frozen=True, slots=True)
class Realised:
    """What came of one stream of scores, over what was asked for.

    Parameters
    ----------
    name
        Which stream.
    ties
        The share of the scores judged rare (the highest tenth) that equal another one of their instrument.
    scores
        How many were judged.
    days
        Days of instruments that they cover.
    ratios
        Realised over asked: for each of `CHANCES`, then for "once a day".
    """

    name: str
    ties: float
    scores: int
    days: float
    ratios: tuple[float, ...]

    @property
    def tied(self) -> bool:
        """Whether equal scores are common, so that some rates cannot be met."""
        return self.ties > REPEATED

    @property
    def good(self) -> bool:
        """Within 0.5 and 2; where scores are tied, never above 2."""
        lowest = 0.0 if self.tied else 0.5
        return all(lowest <= ratio <= 2.0 for ratio in self.ratios)


def realised(
    name: str,
    slot: NDArray[np.int32],
    clock: NDArray[np.int64],
    score: NDArray[np.float64],
    chance: NDArray[np.float64],
    seconds: NDArray[np.float64],
    counted: NDArray[np.bool_],
) -> Realised:
    """Count what was judged, on the rows that are `counted`."""
    judged = ~np.isnan(chance) & counted
    n = int(judged.sum())
    ratios = [float((chance[judged] <= asked).sum() / (asked * n)) for asked in CHANCES]
    lived, occasions, repeated, high = 0.0, 0, 0, 0
    for number in np.unique(slot):
        mine = np.flatnonzero(judged & (slot == number))
        lived += float(np.minimum(np.diff(clock[mine]) / NS, LONGEST_GAP_S).sum())
        rare = clock[mine][seconds[mine] >= DAY_S]
        occasions += int(len(rare) > 0) + int((np.diff(rare) / NS > TOGETHER_S).sum())
        top = score[mine][chance[mine] < 1.0]
        high += len(top)
        repeated += len(top) - len(np.unique(top))
    days = lived / DAY_S
    return Realised(name, repeated / max(high, 1), n, days, (*ratios, occasions / days))
