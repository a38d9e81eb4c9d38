"""Runs that are compared, taken in turn, so that a machine that slows down slows all of them down."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure


@dataclass(frozen=True, slots=True)
class Taken:
    """What every run came to in every round.

    Parameters
    ----------
    rounds
        Values by the run's name, one a round.
    missing
        Runs that could not be made, and why.
    """

    rounds: Mapping[str, Sequence[float]]
    missing: Mapping[str, str]

    def rate(self, name: str, shown: str, unit: str = "/s") -> Figure:
        """The median of a run over the rounds."""
        if name in self.missing:
            return Figure(shown, None, unit, note=self.missing[name])
        values = self.rounds[name]
        return Figure(shown, statistics.median(values), unit, spread=(min(values), max(values)))

    def ratio(
        self, name: str, other: str, shown: str, *, least: float | None = None, most: float | None = None
    ) -> Figure:
        """The median, over the rounds, of one run's value by the other's of the same round.

        Examples
        --------
        >>> taken = Taken({"a": [10.0, 8.0, 12.0], "b": [5.0, 2.0, 4.0]}, {})
        >>> taken.ratio("a", "b", "a against b").value
        3.0
        """
        for one in (name, other):
            if one in self.missing:
                return Figure(shown, None, "x", least, most, note=self.missing[one])
        ratios = [a / b for a, b in zip(self.rounds[name], self.rounds[other], strict=True)]
        return Figure(shown, statistics.median(ratios), "x", least, most, (min(ratios), max(ratios)))


Run = Callable[[], float]
"""Does its work once and gives events a second."""


def take(
    runs: Mapping[str, Run],
    rounds: int,
    say: Callable[[str], None],
    missing: Mapping[str, str] | None = None,
) -> Taken:
    """Every run once a round, in order, with garbage collected before each."""
    values: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            gc.collect()
            values[name].append(run())
            say(f"round {number + 1} of {rounds}: {name} {values[name][-1]:,.0f}")
    return Taken(values, missing or {})


def percentiles(values: Iterable[float], *shares: float) -> list[float]:
    """The smallest values that so many per cent of all do not exceed (nearest rank).

    Examples
    --------
    >>> percentiles(range(1, 1001), 50, 99, 99.9)
    [500.0, 990.0, 999.0]
    """
    ordered = sorted(float(value) for value in values)
    ranks = [max(0, -int(-share * len(ordered) // 100) - 1) for share in shares]
    return [ordered[rank] for rank in ranks]
