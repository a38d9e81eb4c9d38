"""Which of a few known texts lies at each place of an arena."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

NO_MATCH = -1


@njit(cache=True, nogil=True)
def _match_rows(arena, at, size, words, starts, found, behind):  # type: ignore[no-untyped-def]
    # `found` is a word's number, or NO_MATCH; where `behind`, a word must be the end of what lies there.
    for row in range(at.shape[0]):
        found[row] = NO_MATCH
        for number in range(starts.shape[0] - 1):
            length = starts[number + 1] - starts[number]
            if size[row] != length and not (behind and size[row] > length):
                continue
            first = at[row] + size[row] - length
            same = True
            for i in range(length):
                if arena[first + i] != words[starts[number] + i]:
                    same = False
                    break
            if same:
                found[row] = number
                break


class Matcher:
    """Compares spans of an arena with some words.

    Parameters
    ----------
    words
        At most 127 of them.
    behind
        Whether a span need only end with a word.

    Examples
    --------
    >>> arena = np.frombuffer(b"trade:quote:bid", np.uint8)
    >>> at, size = np.array([0, 6, 12]), np.array([5, 5, 3])
    >>> Matcher(["quote", "trade"]).match(arena, at, size)
    array([ 1,  0, -1], dtype=int8)
    """

    def __init__(self, words: Sequence[str], *, behind: bool = False) -> None:
        encoded = [word.encode() for word in words]
        self._words = np.frombuffer(b"".join(encoded), np.uint8).copy()
        self._starts = np.cumsum([0, *(len(word) for word in encoded)], dtype=np.int64)
        self._behind = behind

    def match(
        self, arena: NDArray[np.uint8], at: NDArray[np.int64], size: NDArray[np.int64]
    ) -> NDArray[np.int8]:
        """The number of the word at each place, `NO_MATCH` where there is none.

        Parameters
        ----------
        arena, at, size
            Where the spans are; all of them lie within the arena. A size below 0 is no span.
        """
        found = np.empty(len(at), np.int8)
        _match_rows(arena, at, size, self._words, self._starts, found, self._behind)
        return found
