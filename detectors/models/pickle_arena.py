"""Pickled models by slot, each in a place of its own, so that one that changes leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.growing_array import GrowingArray
from detectors.slot_arrays import StateMismatchError

_SPARE = 8  # a place is an eighth longer than its pickle, so that one that grows a little stays there
_ALIGNED = 64
_MOST_UNUSED = 2  # times what places take that are in use


class PickleArena:
    """The pickles of models as of the last `update`, which pickles those that were touched since.

    Examples
    --------
    >>> arena, calls = PickleArena(), []
    >>> def pickled(model):
    ...     calls.append(model)
    ...     return model.encode()
    >>> for models in (["a", "b"], ["a", "c"]):
    ...     arena.touch(1)
    ...     arena.update(models, pickled)
    >>> calls, [blob.tobytes() for blob in pickles_in(arena.state())]
    (['a', 'b', 'c'], [b'a', b'c'])
    """

    def __init__(self) -> None:
        self._memory = GrowingArray(np.uint8)
        self._end = 0
        self._used = 0
        self._starts = np.zeros(0, np.int64)
        self._lengths = np.zeros(0, np.int64)
        self._places = np.zeros(0, np.int64)
        self._touched: set[int] = set()

    @classmethod
    def of(cls, state: Mapping[str, NDArray[np.generic]]) -> PickleArena:
        """One that goes on from a state, in which every pickle stays where it is."""
        arena, pickles = cls(), state["pickles"]
        arena._lengths = state["lengths"].astype(np.int64)
        arena._starts = (
            state["starts"].astype(np.int64)
            if "starts" in state
            else np.cumsum(arena._lengths) - arena._lengths
        )
        arena._places = arena._lengths.copy()
        arena._end, arena._used = len(pickles), int(arena._lengths.sum())
        arena._memory.extend(len(pickles))
        arena._memory.array[: len(pickles)] = pickles
        return arena

    def touch(self, slot: int) -> None:
        """The model of this slot can have changed."""
        self._touched.add(slot)

    def update(self, models: Sequence[Any], pickled: Callable[[Any], bytes]) -> None:
        """Pickle what was touched; all of them is tried before anything is changed here."""
        n = len(self._starts)
        gone = {slot for slot, model in enumerate(models[:n]) if model is None and self._lengths[slot]}
        slots = sorted({slot for slot in self._touched if slot < n} | gone | set(range(n, len(models))))
        blobs = [b"" if models[slot] is None else pickled(models[slot]) for slot in slots]
        self._touched.clear()
        if len(models) > n:
            more = np.zeros(len(models) - n, np.int64)
            self._starts, self._lengths, self._places = (
                np.concatenate((array, more)) for array in (self._starts, self._lengths, self._places)
            )
        for slot, blob in zip(slots, blobs, strict=True):
            self._put(slot, blob)
        if self._end > _MOST_UNUSED * self._used + _ALIGNED:
            self._compact()

    def state(self) -> State:
        """Where each pickle is, and the memory that they are in; not to be kept or written to."""
        return {"starts": self._starts, "lengths": self._lengths, "pickles": self._memory.array[: self._end]}

    def _put(self, slot: int, blob: bytes) -> None:
        if len(blob) > self._places[slot]:
            place = -(-(len(blob) + len(blob) // _SPARE) // _ALIGNED) * _ALIGNED
            if self._end + place > len(self._memory.array):
                self._memory.extend(2 * (self._end + place))
            self._used += place - int(self._places[slot])
            self._starts[slot], self._places[slot] = self._end, place
            self._end += place
        start = int(self._starts[slot])
        self._memory.array[start : start + len(blob)] = np.frombuffer(blob, np.uint8)
        self._lengths[slot] = len(blob)

    def _compact(self) -> None:
        blobs = [blob.tobytes() for blob in pickles_in(self.state())]
        self._memory, self._end, self._used = GrowingArray(np.uint8), 0, 0
        self._places[:] = 0
        for slot, blob in enumerate(blobs):
            self._put(slot, blob)


def pickles_in(state: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    """Each slot's pickle, uint8[], empty where there is none; without `starts` one is behind the other.

    Raises
    ------
    KeyError, StateMismatchError
        When the state is incomplete.
    """
    pickles, lengths = state["pickles"], state["lengths"].astype(np.int64)
    starts = state["starts"].astype(np.int64) if "starts" in state else np.cumsum(lengths) - lengths
    ends = starts + lengths
    is_whole = "starts" in state or (int(ends[-1]) if len(ends) else 0) == len(pickles)
    if len(starts) != len(lengths) or not is_whole or (len(ends) and int(ends.max()) > len(pickles)):
        raise StateMismatchError("the models' pickles are incomplete")
    return [pickles[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
