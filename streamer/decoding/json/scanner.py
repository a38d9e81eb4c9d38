"""Scans rows of JSON into columns, by calling the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.json.plan_layout import COLUMN, OTHER, PRESENT
from streamer.decoding.json.scan_kernel import MEMORY_SIZE, scan_rows
from streamer.decoding.json.scan_plan import FieldType, JsonField, make_plan

PADDING = 64
"""Spare bytes at an arena's end that belong to no row."""


_NO_DEFAULTS = np.empty((0, 2), np.int64)


def readable(array: NDArray[Any], of: type[np.generic]) -> NDArray[Any]:
    """The array, contiguous and read-only: kernels are compiled for this kind of array only."""
    if array.dtype.type is of and array.flags.c_contiguous and not array.flags.writeable:
        return array
    view = np.ascontiguousarray(array, of).view()
    view.flags.writeable = False
    return view


class Scanner:
    """Finds fields in rows of JSON, without copying the rows.

    Parameters
    ----------
    fields
        At most 62.

    Raises
    ------
    ValueError
        For a path that is empty, deeper than 8 objects, given twice or leads through a field, an unknown
        type, or too many fields.

    Notes
    -----
    ``docs/scanning.md`` explains how it works. A scanner has no state, so threads may share one.

    Examples
    --------
    >>> rows = [b'{"s": "BTC", "p": "61837.63"}', b'{"s": "ETH", "p": null}', b'{"s": "ETH", "p": 1,}']
    >>> arena = np.frombuffer(b"".join(rows) + bytes(64), np.uint8)
    >>> size = np.array([len(row) for row in rows])
    >>> scanner = Scanner([JsonField(("s",), "text"), JsonField(("p",), "decimal")])
    >>> scan = scanner.scan(arena, size.cumsum() - size, size)
    >>> scan.number(1).tolist(), scan.flagged.tolist()
    ([61837.63, nan, nan], [False, False, True])
    >>> scan.present.tolist(), scan.other.tolist()
    ([3, 1, 0], [0, 2, 0])
    """

    def __init__(self, fields: Sequence[JsonField]) -> None:
        self.fields = tuple(fields)
        self._plan = make_plan(self.fields)

    @property
    def columns(self) -> int:
        """The number of columns of a `Scan`."""
        return len(self._plan.defaults)

    def column(self, field: int) -> int:
        """The index of a field in `Scan.columns`; for a text, of the first of its two columns."""
        return int(self._plan.fields[field, COLUMN])

    def scan(
        self,
        arena: NDArray[np.uint8],
        at: NDArray[np.int64],
        size: NDArray[np.int64],
        into: NDArray[np.uint64] | None = None,
    ) -> Scan:
        """Scan rows.

        Parameters
        ----------
        arena
            uint8, the bytes of all rows; the last 64 belong to none.
        at, size
            int64[n], each row's start and size in bytes; size -1 for null.
        into
            uint64[`columns`, n], C-contiguous: the array to write the columns to. Values that are not present
            are then undefined.

        Returns
        -------
        Scan
            With columns of its own, unless `into` is given.

        Raises
        ------
        ValueError
            If a row is not within the arena.
        """
        n = len(size)
        if len(arena) < PADDING or len(at) != n:
            raise ValueError(
                f"{len(arena)} bytes for {len(at)} and {n} rows: no arena with {PADDING} to spare"
            )
        plan = self._plan
        columns = np.empty((len(plan.defaults), n), np.uint64) if into is None else into
        if columns.shape != (len(plan.defaults), n) or not columns.flags.c_contiguous:
            raise ValueError(f"no room for {len(plan.defaults)} columns of {n} rows")
        flagged = np.empty(n, np.bool_)
        outside = scan_rows(
            readable(arena, np.uint8),
            readable(at, np.int64),
            readable(size, np.int64),
            PADDING,
            plan.names,
            plan.keys,
            plan.objects,
            plan.fields,
            plan.defaults if into is None else _NO_DEFAULTS,
            np.empty(MEMORY_SIZE, np.int64),
            columns,
            flagged,
        )
        if outside >= 0:
            raise ValueError(
                f"row {outside} ({size[outside]} bytes from {at[outside]}) is not within the arena"
            )
        return Scan(self.fields, plan.fields[:, COLUMN], columns, flagged)


class Scan:
    """The result of scanning rows.

    Attributes
    ----------
    flagged
        bool[n]: the row is null or not plainly valid; its other values are meaningless.
    present
        uint64[n]: bit i is set if field i is present with a value of its type.
    other
        uint64[n]: bit i is set if field i is present with a value of another type, such as null.
    columns
        uint64[c, n]: the bits of all columns, for kernels; see `Scanner.column`.
    """

    def __init__(
        self,
        fields: tuple[JsonField, ...],
        first_column: NDArray[np.int64],
        columns: NDArray[np.uint64],
        flagged: NDArray[np.bool_],
    ) -> None:
        self._fields = fields
        self._first_column = first_column
        self.columns = columns
        self.flagged = flagged
        self.present = columns[PRESENT]
        self.other = columns[OTHER]

    def number(self, field: int) -> NDArray[np.float64]:
        """float64[n] of a ``"number"`` or ``"decimal"``; NaN if not present."""
        return self._column(field, "number", "decimal").view(np.float64)

    def integer(self, field: int) -> NDArray[np.int64]:
        """int64[n] of an ``"integer"``; 0 if not present."""
        return self._column(field, "integer").view(np.int64)

    def flag(self, field: int) -> NDArray[np.bool_]:
        """bool[n] of a ``"flag"``; False if not present."""
        return self._column(field, "flag").astype(np.bool_)

    def text(self, field: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Two int64[n] of a ``"text"``: its start in the arena and its size in bytes, -1 if not present."""
        at = self._column(field, "text")
        size = self.columns[self._first_column[field] + 1]
        return at.view(np.int64), size.view(np.int64)

    def _column(self, field: int, *types: FieldType) -> NDArray[np.uint64]:
        requested = self._fields[field]
        if requested.type not in types:
            raise TypeError(
                f"{'.'.join(requested.path)} is of type {requested.type}, not {' or '.join(types)}"
            )
        column: NDArray[np.uint64] = self.columns[self._first_column[field]]
        return column
