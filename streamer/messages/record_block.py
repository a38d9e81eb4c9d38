"""Records of one partition as columns over one buffer of bytes; objects are made only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from streamer.messages.records import Headers, Record

PADDING = 64
"""Bytes behind the last byte of an arena, whatever they are: what reads it in words may run on into them."""

NULL = -1
"""The size of a key or value that is null."""


class RecordBlock(Sequence[Record]):
    """Records in order, their bytes in one arena; a slice of a block is a block over the same arena.

    An element is a `Record`, made when it is asked for.

    Parameters
    ----------
    arena
        uint8, the bytes that all positions are of; its last `PADDING` bytes belong to no record.
        It must not change as long as any block, or anything decoded from it, is in use.
    offset
        int64[n], strictly rising.
    timestamp
        int64[n], ns since 1970 UTC, `NO_TIME` where a record has none.
    value_at, value_size
        int64[n], where each value begins and how many bytes it has, `NULL` for a null value.
    key_at, key_size
        The same of the keys; None where no record has one.
    headers
        Gives the headers of the record at a place of the whole block; None where no record has any.

    Examples
    --------
    >>> block = RecordBlock.of([Record(7, b"a"), Record(9, b"bc"), Record(10, None)])
    >>> len(block), block[1].value, [record.offset for record in block[1:]]
    (3, b'bc', [9, 10])
    >>> block[1:2][0].offset
    9
    """

    def __init__(
        self,
        arena: NDArray[np.uint8],
        offset: NDArray[np.int64],
        timestamp: NDArray[np.int64],
        value_at: NDArray[np.int64],
        value_size: NDArray[np.int64],
        key_at: NDArray[np.int64] | None = None,
        key_size: NDArray[np.int64] | None = None,
        headers: Callable[[int], Headers] | None = None,
        first: int = 0,
    ) -> None:
        self.arena = arena
        self.offset = offset
        self.timestamp = timestamp
        self.value_at = value_at
        self.value_size = value_size
        self._key_at = key_at
        self._key_size = key_size
        self._headers = headers
        self._first = first

    @classmethod
    def of(cls, records: Iterable[Record]) -> RecordBlock:
        """A block of records that are objects already; their keys and headers are not taken along."""
        found = list(records)
        values = [record.value for record in found]
        size = np.array([NULL if value is None else len(value) for value in values], np.int64)
        at = np.zeros(len(found), np.int64)
        np.cumsum(np.maximum(size[:-1], 0), out=at[1:])
        joined = bytearray().join([*(value for value in values if value is not None), bytes(PADDING)])
        return cls(
            np.frombuffer(joined, np.uint8),
            np.array([record.offset for record in found], np.int64),
            np.array([record.timestamp for record in found], np.int64),
            at,
            size,
        )

    def __len__(self) -> int:
        return len(self.offset)

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> RecordBlock: ...

    def __getitem__(self, place: int | slice) -> Record | RecordBlock:
        if isinstance(place, slice):
            return self._slice(place)
        at = range(len(self))[place]
        headers = () if self._headers is None else self._headers(self._first + at)
        return Record(int(self.offset[at]), self.value(at), int(self.timestamp[at]), self.key(at), headers)

    def __iter__(self) -> Iterator[Record]:
        if self._headers is not None or self._key_at is not None:
            yield from (self[at] for at in range(len(self)))
            return
        data = self.arena.data
        columns = (self.offset, self.value_at, self.value_size, self.timestamp)
        for offset, at, size, timestamp in zip(*(column.tolist() for column in columns), strict=True):
            yield Record(offset, None if size == NULL else bytes(data[at : at + size]), timestamp)

    def value(self, place: int) -> bytes | None:
        """The bytes of one value, copied; None for a null value."""
        return self._bytes(int(self.value_at[place]), int(self.value_size[place]))

    def key(self, place: int) -> bytes | None:
        """The bytes of one key, copied; None for a null key."""
        if self._key_at is None or self._key_size is None:
            return None
        return self._bytes(int(self._key_at[place]), int(self._key_size[place]))

    def _bytes(self, at: int, size: int) -> bytes | None:
        return None if size == NULL else self.arena[at : at + size].tobytes()

    def _slice(self, place: slice) -> RecordBlock:
        start, stop, step = place.indices(len(self))
        if step != 1:
            raise ValueError("a block has no steps")
        return RecordBlock(
            self.arena,
            self.offset[start:stop],
            self.timestamp[start:stop],
            self.value_at[start:stop],
            self.value_size[start:stop],
            None if self._key_at is None else self._key_at[start:stop],
            None if self._key_size is None else self._key_size[start:stop],
            self._headers,
            self._first + start,
        )
