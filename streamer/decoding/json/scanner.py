"""Rows of JSON to columns: what calls the kernel, and what it has found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.json.plan_layout import COLUMN, OTHER, PRESENT
from streamer.decoding.json.scan_kernel import MEMORY_SIZE, scan_rows
from streamer.decoding.json.scan_plan import FieldType, JsonField, make_plan

PADDING = 64
"""So many bytes at an arena's end belong to no row."""


_NO_DEFAULTS = np.empty((0, 2), np.int64)


def readable(array: NDArray[Any], of: type[np.generic]) -> NDArray[Any]:
    """An array as kernels take it: contiguous and read-only, since each sort of array is compiled for."""
    if array.dtype.type is of and array.flags.c_contiguous and not array.flags.writeable:
        return array
    found = np.ascontiguousarray(array, of).view()
    found.flags.writeable = False
    return found


class Scanner:
    """Finds fields in rows of JSON, where they lie.

    Parameters
    ----------
    fields
        At most 62.

    Raises
    ------
    ValueError
        For a path that is empty, deeper than 8 objects, there twice or leads through a field; for an unknown
        type; for too many fields.

    Notes
    -----
    How it works is told in ``docs/scanning.md``. A scanner holds no state: threads may share one.

    Examples
    --------
    >>> rows = [b'{"s": "BTC", "p": "61837.63"}', b'{"s": "ETH", "p": null}', b'{"s": "ETH", "p": 1,}']
    >>> arena = np.frombuffer(b"".join(rows) + bytes(64), np.uint8)
    >>> size = np.array([len(row) for row in rows])
    >>> scanner = Scanner([JsonField(("s",), "text"), JsonField(("p",), "decimal")])
    >>> found = scanner.scan(arena, size.cumsum() - size, size)
    >>> found.number(1).tolist(), found.flagged.tolist()
    ([61837.63, nan, nan], [False, False, True])
    >>> found.present.tolist(), found.other.tolist()
    ([3, 1, 0], [0, 2, 0])
    """

    def __init__(self, fields: Sequence[JsonField]) -> None:
        self.fields = tuple(fields)
        self._plan = make_plan(self.fields)

    @property
    def columns(self) -> int:
        """How many columns a `Scan` has."""
        return len(self._plan.defaults)

    def column(self, field: int) -> int:
        """Which of `Scan.columns` is a field's; of a text it is the first of two."""
        return int(self._plan.fields[field, COLUMN])

    def scan(
        self,
        arena: NDArray[np.uint8],
        at: NDArray[np.int64],
        size: NDArray[np.int64],
        into: NDArray[np.uint64] | None = None,
    ) -> Scan:
        """Read rows.

        Parameters
        ----------
        arena
            uint8, the bytes of all rows; the last 64 belong to none.
        at, size
            int64[n], where each row begins and how many bytes it has; -1 for null.
        into
            uint64[`columns`, n], in C's order: where the columns are written to. What is not present has no
            meaning in them then.

        Returns
        -------
        Scan
            Columns of its own, which the next call does not touch, unless there is `into`.

        Raises
        ------
        ValueError
            Where a row is not within the arena.
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
    """What was found in rows.

    Attributes
    ----------
    flagged
        bool[n]: the row is not beyond doubt, or null; all else about it says nothing.
    present
        uint64[n]: bit i is set where field i is there with a value of its type.
    other
        uint64[n]: bit i is set where field i is there with a value of another type, null among them.
    columns
        uint64[c, n]: the bits of all columns, for kernels; `Scanner.column` says which is whose.
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
        """float64[n] of a ``"number"`` or ``"decimal"``; NaN where it is not present."""
        return self._column(field, "number", "decimal").view(np.float64)

    def integer(self, field: int) -> NDArray[np.int64]:
        """int64[n] of an ``"integer"``; 0 where it is not present."""
        return self._column(field, "integer").view(np.int64)

    def flag(self, field: int) -> NDArray[np.bool_]:
        """bool[n] of a ``"flag"``; False where it is not present."""
        return self._column(field, "flag").astype(np.bool_)

    def text(self, field: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of a ``"text"``, two int64[n]: where in the arena it begins, how many bytes; -1 if not present."""
        at = self._column(field, "text")
        size = self.columns[self._first_column[field] + 1]
        return at.view(np.int64), size.view(np.int64)

    def _column(self, field: int, *types: FieldType) -> NDArray[np.uint64]:
        wanted = self._fields[field]
        if wanted.type not in types:
            raise TypeError(f"{'.'.join(wanted.path)} is of type {wanted.type}, not {' or '.join(types)}")
        column: NDArray[np.uint64] = self.columns[self._first_column[field]]
        return column
