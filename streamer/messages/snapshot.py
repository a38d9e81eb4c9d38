"""The state of one task at one moment, as a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A copy of a task's entire state.

    Parameters
    ----------
    meta
        The small parts: slots, watermark, open episodes, counts. Only what JSON can hold.
    arrays
        Everything else, by ``part|name``.
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.generic]]


def pack(parts: Mapping[str, Mapping[str, NDArray[np.generic]]]) -> State:
    """Flatten the states of several parts into one mapping.

    Examples
    --------
    >>> sorted(pack({"feature:mid": {"value": np.zeros(1)}}))
    ['feature:mid|value']
    """
    return {f"{part}|{name}": array for part, state in parts.items() for name, array in state.items()}


def unpack(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, State]:
    """Undo `pack`."""
    parts: dict[str, State] = {}
    for key, array in arrays.items():
        part, _, name = key.partition("|")
        parts.setdefault(part, {})[name] = array
    return parts
