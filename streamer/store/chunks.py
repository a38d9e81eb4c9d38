"""Values in pieces, since SQLite limits how many one statement holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

_Value = TypeVar("_Value")

CHUNK: Final = 500
"""Values a statement."""


def chunks(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    """The same values, in their order, `CHUNK` at a time.

    Examples
    --------
    >>> [len(some) for some in chunks(range(1_001))]
    [500, 500, 1]
    """
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
