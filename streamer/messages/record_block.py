"""Records of one partition as columns over one byte buffer; `Record` objects are created on access."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from streamer.messages.records import Headers, Record

PADDING = 64
"""Spare bytes at an arena's end, of any content: readers that load whole words may overrun into them."""

NULL = -1
"""Stands for the size of a null key or value."""


class RecordColumns(NamedTuple):
    """Columns of n records; positions are byte positions in a block's arena.

    Parameters
    ----------
    offset
        int64[n], strictly increasing.
    timestamp
        int64[n], ns since 1970 UTC, `NO_TIME` for a record without one.
    value_at, value_size
        int64[n], where each value starts and its size in bytes, `NULL` for a null value.
    key_at, key_size
        The same for keys; None if no record has a key.
    received
        int64[n], ns since 1970 UTC: when each was received, finer than its timestamp, `NO_TIME` where that
        is unknown; None if no record has more than its timestamp.
    """

    offset: NDArray[np.int64]
    timestamp: NDArray[np.int64]
    value_at: NDArray[np.int64]
    value_size: NDArray[np.int64]
    key_at: NDArray[np.int64] | None = None
    key_size: NDArray[np.int64] | None = None
    received: NDArray[np.int64] | None = None


class RecordBlock(Sequence[Record]):
    """Records in order, their bytes in one arena; a slice is a block over the same arena.

    An element is a `Record`, created on access.

    Parameters
    ----------
    arena
        uint8; its last `PADDING` bytes belong to no record. It must not change while any block, or
        anything decoded from it, is in use.
    columns
        The records.
    headers
        Returns the headers of the record at an index of the original, unsliced block; None if no record
        has any.
    first
        Index of the first record in the original block.

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
        columns: RecordColumns,
        headers: Callable[[int], Headers] | None = None,
        first: int = 0,
    ) -> None:
        self.arena = arena
        self.offset = columns.offset
        self.timestamp = columns.timestamp
        self.value_at = columns.value_at
        self.value_size = columns.value_size
        self._key_at = columns.key_at
        self._key_size = columns.key_size
        self._received = columns.received
        self._headers = headers
        self._first = first

    @classmethod
    def of(cls, records: Iterable[Record]) -> RecordBlock:
        """A block of existing `Record` objects, without their keys and headers."""
        rows = list(records)
        values = [record.value for record in rows]
        size = np.array([NULL if value is None else len(value) for value in values], np.int64)
        at = np.zeros(len(rows), np.int64)
        np.cumsum(np.maximum(size[:-1], 0), out=at[1:])
        joined = bytearray().join([*(value for value in values if value is not None), bytes(PADDING)])
        return cls(
            np.frombuffer(joined, np.uint8),
            RecordColumns(
                np.array([record.offset for record in rows], np.int64),
                np.array([record.timestamp for record in rows], np.int64),
                at,
                size,
            ),
        )

    @classmethod
    def numbered(cls, blocks: Sequence[RecordBlock]) -> RecordBlock:
        """The records of several blocks, numbered from 0 instead of their offsets; without headers.

        Examples
        --------
        >>> one, other = RecordBlock.of([Record(7, b"a"), Record(9, b"c")]), RecordBlock.of([Record(7, b"b")])
        >>> [(record.offset, record.value) for record in RecordBlock.numbered([one[:1], other])]
        [(0, b'a'), (1, b'b')]
        """
        arenas, moves, at = [], [], 0
        for block in blocks:
            begin, end = block._extent()
            arenas.append(block.arena[begin:end])
            moves.append(at - begin)
            at += end - begin
        arenas.append(np.zeros(PADDING, np.uint8))
        move = np.repeat(moves, [len(block) for block in blocks])
        keyed = [block for block in blocks if block._key_at is not None]
        return cls(
            np.concatenate(arenas),
            RecordColumns(
                np.arange(len(move), dtype=np.int64),
                np.concatenate([block.timestamp for block in blocks]),
                np.concatenate([block.value_at for block in blocks]) + move,
                np.concatenate([block.value_size for block in blocks]),
                np.concatenate([_or(block._key_at, block, 0) for block in blocks]) + move if keyed else None,
                np.concatenate([_or(block._key_size, block, NULL) for block in blocks]) if keyed else None,
                np.concatenate([block.received for block in blocks]),
            ),
        )

    def _extent(self) -> tuple[int, int]:
        """Where the bytes of its keys and values begin and end in the arena."""
        both = [(self.value_at, self.value_size), (self._key_at, self._key_size)]
        held = [(at[size > 0], size[size > 0]) for at, size in both if at is not None and size is not None]
        begins = [int(at.min()) for at, _ in held if len(at)]
        ends = [int((at + size).max()) for at, size in held if len(at)]
        return min(begins, default=0), max(ends, default=0)

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def received(self) -> NDArray[np.int64]:
        """When each record was received, int64[n] ns: as finely as it is known, else its timestamp."""
        return self.timestamp if self._received is None else self._received

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
        """A copy of one value's bytes; None for a null value."""
        return self._bytes(int(self.value_at[place]), int(self.value_size[place]))

    def key(self, place: int) -> bytes | None:
        """A copy of one key's bytes; None for a null key."""
        if self._key_at is None or self._key_size is None:
            return None
        return self._bytes(int(self._key_at[place]), int(self._key_size[place]))

    def _bytes(self, at: int, size: int) -> bytes | None:
        return None if size == NULL else self.arena[at : at + size].tobytes()

    def _slice(self, place: slice) -> RecordBlock:
        start, stop, step = place.indices(len(self))
        if step != 1:
            raise ValueError("a block can only be sliced with step 1")
        columns = RecordColumns(
            self.offset[start:stop],
            self.timestamp[start:stop],
            self.value_at[start:stop],
            self.value_size[start:stop],
            None if self._key_at is None else self._key_at[start:stop],
            None if self._key_size is None else self._key_size[start:stop],
            None if self._received is None else self._received[start:stop],
        )
        return RecordBlock(self.arena, columns, self._headers, self._first + start)


def bytes_of(records: Sequence[Record]) -> int:
    """How many bytes the values of records have.

    Examples
    --------
    >>> records = [Record(7, b"abc"), Record(8, None), Record(9, b"d")]
    >>> bytes_of(records), bytes_of(RecordBlock.of(records))
    (4, 4)
    """
    if isinstance(records, RecordBlock):
        return int(np.maximum(records.value_size, 0).sum())
    return sum(len(record.value or b"") for record in records)


def _or(column: NDArray[np.int64] | None, block: RecordBlock, otherwise: int) -> NDArray[np.int64]:
    return np.full(len(block), otherwise, np.int64) if column is None else column
