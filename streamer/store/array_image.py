"""All arrays of a task's state as its last checkpoint left them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from detectors.growing_array import GrowingArray
from streamer.messages.array_changes import UNIT, ArrayChange, unit_of
from streamer.store.unit_kernels import changed_units

_WORD = 8
_WHOLE_SHARE = 0.75  # of an array, from which on it is written whole


@dataclass(slots=True)
class _Held:
    """One array: its bytes by entry of the first axis."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    rows: GrowingArray

    @classmethod
    def like(cls, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Held:
        return cls(dtype, (0, *shape[1:]), GrowingArray(np.uint8, (_row_bytes(dtype, shape),)))

    def extend(self, shape: tuple[int, ...]) -> None:
        self.rows.extend(_entries(shape))
        self.shape = shape

    @property
    def bytes(self) -> NDArray[np.uint8]:
        return self.rows.array[: _entries(self.shape)].reshape(-1)

    @property
    def array(self) -> NDArray[Any]:
        return self.bytes.view(self.dtype).reshape(self.shape)

    def whole(self, name: str) -> ArrayChange:
        return ArrayChange(name, self.dtype.str, self.shape, False, UNIT, None, self.bytes)

    def is_laid_out_as(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether it differs from an array of this type and shape by the number of entries at most."""
        return self.dtype == dtype and len(self.shape) == len(shape) and self.shape[1:] == shape[1:]

    def goes_on_as(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether an array of this type and shape is this one, perhaps with entries more."""
        return self.is_laid_out_as(dtype, shape) and _entries(self.shape) <= _entries(shape)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayPart:
    """A part of an array, uint8[], with its type and shape; `owner` is another once it begins anew."""

    dtype: str
    shape: tuple[int, ...]
    owner: object
    data: NDArray[np.uint8]


class ArrayImage:
    """Arrays by name, as they were last; knows what has changed since.

    Examples
    --------
    >>> image, live = ArrayImage(), np.zeros((3, 100))
    >>> image.take("x", live).index is None  # nothing was there
    True
    >>> live[1, 7] = 5.0
    >>> change = image.take("x", live, np.array([False, True, False]))
    >>> change.unit, change.index.tolist()
    (40, [21])
    """

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(_entries(held.shape) * held.rows.entry_bytes for held in self._held.values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays, not to be kept across a change; nobody may write to them."""
        found = {name: held.array for name, held in self._held.items()}
        for array in found.values():
            array.flags.writeable = False
        return found

    def keep_only(self, names: Collection[str]) -> bool:
        """Drop all other arrays; True if there were any."""
        others = self._held.keys() - set(names)
        for name in others:
            del self._held[name]
        return bool(others)

    @property
    def names(self) -> list[str]:
        """The names of all arrays."""
        return list(self._held)

    def lacks(self, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> int:
        """Bytes of memory that `take` would have to allocate for arrays like these."""
        return sum(
            max(_entries(shape) - self._entries_of(name, dtype, shape), 0) * _row_bytes(dtype, shape)
            for name, (dtype, shape) in shapes.items()
        )

    def reserve(self, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> None:
        """Allocate that memory, with its pages; on any thread, while nobody else uses the image."""
        for name, (dtype, shape) in shapes.items():
            if not _entries(shape) * _row_bytes(dtype, shape):
                continue
            held = self._held.get(name)
            if held is None or not held.goes_on_as(dtype, shape):
                held = self._held[name] = _Held.like(dtype, shape)
            before = len(held.rows.array)
            held.rows.extend(_entries(shape))
            held.rows.array[before:] = 0  # touches every page; numpy releases the GIL meanwhile

    def take(
        self, name: str, live: NDArray[Any], touched: NDArray[np.bool_] | None = None
    ) -> ArrayChange | None:
        """Make an array as the live one is; returns what changed, None where nothing did.

        Parameters
        ----------
        name
            The array's.
        live
            It is read only.
        touched
            bool[entries], which entries of the first axis can have changed; those that are new count as
            touched. None where that is not known: then all are compared.
        """
        held, shape = self._held.get(name), live.shape
        kept = held is not None and held.goes_on_as(live.dtype, shape)
        if held is None or not kept:
            held = self._held[name] = _Held.like(live.dtype, shape)
        before = _entries(held.shape)
        is_new = before == 0 and held.rows.entry_bytes > 0
        if is_new:
            self.copy(name, live)
            return self._held[name].whole(name)
        grown = held.shape != shape
        held.extend(shape)
        if touched is None or not shape or _goes_faster_whole(live, touched):
            unit, index = UNIT, _flat(live, held)
        else:
            unit, index = unit_of(held.rows.entry_bytes), _in_rows(live, held, touched, before)
        if not len(index) and kept and not grown:
            return None
        whole = len(index) * (unit + 4) >= _WHOLE_SHARE * len(held.bytes) > 0
        return ArrayChange(name, live.dtype.str, shape, kept, unit, None if whole else index, held.bytes)

    def copy(self, name: str, live: NDArray[Any]) -> None:
        """Make an array as the live one is without comparing them."""
        held, dtype, shape = self._held.get(name), live.dtype, live.shape
        if held is None or held.shape != shape or held.dtype != dtype:
            if held is None or not held.goes_on_as(dtype, shape):
                held = self._held[name] = _Held.like(dtype, shape)
            held.extend(shape)
        data = held.bytes
        if len(data):
            np.copyto(data.view(dtype).reshape(shape), live)

    def whole(self) -> Iterator[ArrayChange]:
        """All arrays, as those that begin anew."""
        for name, held in self._held.items():
            yield held.whole(name)

    def put(self, name: str, dtype: str, shape: tuple[int, ...], *, kept: bool) -> NDArray[np.uint8]:
        """Make room for an array that is read from a file; returns its bytes, to be written to.

        Changes on top of a base that was written over some time may find an array in it as it became later.
        One that has more entries keeps them; one of another layout begins anew, as it does once more in the
        changes that follow.
        """
        held, kind = self._held.get(name), np.dtype(dtype)
        if held is None or not kept or not held.is_laid_out_as(kind, shape):
            held = self._held[name] = _Held.like(kind, shape)
        if _entries(held.shape) <= _entries(shape):
            held.extend(shape)
        return held.bytes

    def part(self, name: str, first: int, most: int) -> ArrayPart | None:
        """At most so many bytes of an array from byte `first` on; None where it is no longer there."""
        held = self._held.get(name)
        if held is None:
            return None
        return ArrayPart(held.dtype.str, held.shape, held.rows, held.bytes[first : first + most])

    def _entries_of(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
        held = self._held.get(name)
        return len(held.rows.array) if held is not None and held.goes_on_as(dtype, shape) else 0


def _goes_faster_whole(live: NDArray[Any], touched: NDArray[np.bool_]) -> bool:
    """Whether most rows are touched: then units of one size are compared, wherever rows begin."""
    return live.flags.c_contiguous and bool(2 * np.count_nonzero(touched) >= len(touched))


def _flat(live: NDArray[Any], held: _Held) -> NDArray[np.uint32]:
    flat = np.ascontiguousarray(live).reshape(-1).view(np.uint8)
    return _changed(np.zeros(1, np.int64), flat, len(flat), held.bytes, len(flat), UNIT)


def _in_rows(live: NDArray[Any], held: _Held, touched: NDArray[np.bool_], before: int) -> NDArray[np.uint32]:
    n, row_bytes = len(live), held.rows.entry_bytes
    rows = np.flatnonzero(touched[:before])
    if n > before:
        rows = np.concatenate((rows, np.arange(before, n)))
    plain = live.view(np.ndarray)
    if not plain[0].flags.c_contiguous:
        plain = np.ascontiguousarray(plain)
    stride = plain.strides[0]
    first = plain[:1].reshape(-1).view(np.uint8)
    spanned = as_strided(first, ((n - 1) * stride + row_bytes,), (1,))
    return _changed(rows, spanned, stride, held.bytes, row_bytes, unit_of(row_bytes))


def _changed(
    rows: NDArray[np.int64],
    live: NDArray[np.uint8],
    stride: int,
    image: NDArray[np.uint8],
    width: int,
    unit: int,
) -> NDArray[np.uint32]:
    """The units in which these rows differ; the image becomes as they are."""
    index = np.empty(len(rows) * -(-width // unit), np.uint32)
    live = live.view()
    live.flags.writeable = False
    if unit % _WORD or width % _WORD or stride % _WORD or live.ctypes.data % _WORD:
        found = changed_units(rows, live, stride, image, width, unit, index)
    else:
        words = (stride // _WORD, image.view(np.uint64), width // _WORD, unit // _WORD)
        found = changed_units(rows, live.view(np.uint64), *words, index)
    return index[:found].copy()


def _entries(shape: tuple[int, ...]) -> int:
    return shape[0] if shape else 1


def _row_bytes(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    return math.prod(shape[1:]) * dtype.itemsize
