"""Features of a whole log: one number for all its instruments together, on timers.

They have no state: a timer tells how long each instrument has been silent, and that is all they are made of.
So only rules can use them, since detectors and baselines learn from events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detectors.features.family import Unit


@dataclass(frozen=True, slots=True)
class LogFamily:
    """Features of one stem, over any window.

    Parameters
    ----------
    stem
        The name without its window.
    doc
        One line for people.
    unit
        The unit of its values.
    compute
        The value at a timer, from how long each instrument has been silent (int64[n], ns, n > 0), and from
        the window (ns).
    """

    stem: str
    doc: str
    unit: Unit
    compute: Callable[[NDArray[np.int64], int], float]


@dataclass(frozen=True, slots=True)
class LogFeature:
    """A feature of the whole log, by the name that it was parsed from."""

    name: str
    family: LogFamily
    window_ns: int

    def value(self, silence_ns: NDArray[np.int64]) -> float:
        """Its value where instruments have been silent for so long, int64[n].

        Examples
        --------
        >>> feature = LogFeature("silent_share_30s", LOG_FAMILIES["silent_share"], 30_000_000_000)
        >>> feature.value(np.array([0, 31_000_000_000, 30_000_000_000, 90_000_000_000]))
        0.5
        """
        return self.family.compute(silence_ns, self.window_ns)


def _silent_share(silence_ns: NDArray[np.int64], window_ns: int) -> float:
    return int(np.count_nonzero(silence_ns > window_ns)) / len(silence_ns)


LOG_FAMILIES: Mapping[str, LogFamily] = MappingProxyType(
    {
        "silent_share": LogFamily(
            stem="silent_share",
            doc="share of the log's instruments from which nothing has come for longer than the window",
            unit="ratio",
            compute=_silent_share,
        )
    }
)
"""By stem."""
