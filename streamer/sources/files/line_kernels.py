"""A kernel that splits a piece of a file into lines and writes them as columns.

A line that is not plain (a blank one, one without the receive time it should have, a capture's note about its
connection) is marked as doubtful and left to the line-by-line parser.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.decoding.event_fields import TIME_MAX_NS
from streamer.decoding.json.wide_loads import byte_at, equal_bytes, trailing_zeros, word_at
from streamer.messages.record_block import PADDING
from streamer.sources.files.line_reader import LINE_MAX_BYTES

_NUMBER_MAX = 19  # digits before the point
_FRACTION_MAX = 9  # digits after the point: few enough for exact arithmetic with those before it
_BLANK, _POINT, _COLON, _ZERO, _TAB, _NEWLINE, _RETURN = (ord(character) for character in " .:0\t\n\r")

_TENS = np.array([10**power for power in range(_FRACTION_MAX + 1)], np.int64)
_ZEROS = np.uint64(_ZERO * 0x0101010101010101)
_SIX_EACH = np.uint64(0x0606060606060606)
_UPPER_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)
_PAIR = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(100 + (1_000_000 << 32))
_ONES = np.uint64(1 + (10_000 << 32))
_NEWLINES = np.full(32, _NEWLINE, np.uint8)


@kernel(forceinline=True)
def _newline(at, end, newlines):
    """The address of the first newline, `end` if there is none before it."""
    while at < end:
        matches = equal_bytes(at, newlines)
        if matches:
            return min(at + trailing_zeros(matches), end)
        at += 32
    return end


@kernel(forceinline=True)
def _digits(at, end):
    """The number at an address, and where it ends; too long a number wraps around."""
    value = np.uint64(0)
    while at + 8 <= end:
        digits = word_at(at) ^ _ZEROS  # each 0 to 9, or something greater
        if ((digits + _SIX_EACH) | digits) & _UPPER_HALVES:
            break
        # combine digits to pairs, pairs to fours, and fours to the eight
        digits = digits * np.uint64(10) + (digits >> np.uint64(8))
        eight = (digits & _PAIR) * _HUNDREDS + ((digits >> np.uint64(16)) & _PAIR) * _ONES
        value = value * np.uint64(100_000_000) + (eight >> np.uint64(32))
        at += 8
    while at < end:
        digit = byte_at(at) - _ZERO
        if digit < 0 or digit > 9:
            break
        value = value * np.uint64(10) + np.uint64(digit)
        at += 1
    return value, at


@kernel(forceinline=True)
def _receive_time(at, end, ns_per, limit):
    """The receive time at the beginning of a line in ns, and where the rest begins, -1 if in doubt."""
    value, k = _digits(at, end)
    if k == at or k - at > _NUMBER_MAX or value >= limit:
        return 0, -1
    ns = np.int64(value) * ns_per
    if k < end and byte_at(k) == _POINT:
        fraction, fraction_end = _digits(k + 1, end)
        size = fraction_end - k - 1
        if size == 0 or size > _FRACTION_MAX:
            return 0, -1
        ns += np.int64(fraction) * ns_per // _TENS[size]
        k = fraction_end
    if k < end and byte_at(k) == _COLON:
        k += 1
    if k >= end or byte_at(k) != _BLANK:
        return 0, -1
    return ns, k + 1


@kernel
def _is_blank(at, end):
    """Whether a line is nothing but whitespace."""
    while at < end and (byte_at(at) == _BLANK or (byte_at(at) >= _TAB and byte_at(at) <= _RETURN)):
        at += 1
    return at == end


@kernel
def _split(data, newlines, at, end, searched, last, ns_per, limit, longest, rows, doubtful, first):
    base, newlines_at = data.ctypes.data, newlines.ctypes.data
    count = first
    while count < rows.shape[1] and at < end:
        stop = _newline(base + max(at, searched), base + end, newlines_at) - base
        if stop == end and not last:
            break
        size = min(stop - at, longest)
        while size > 0 and data[at + size - 1] == _RETURN:
            size -= 1
        if size > 0 and data[at] <= _BLANK and _is_blank(base + at, base + at + size):
            size = 0
        value, time = at, 0
        if ns_per > 0:
            ns, rest = _receive_time(base + at, base + at + size, ns_per, limit)
            doubtful[count] = rest < 0
            if rest > 0:
                time, value = ns, rest - base
        else:
            doubtful[count] = size == 0 or data[at] <= _BLANK
        rows[0, count] = time
        rows[1, count] = value
        rows[2, count] = at + size - value
        count += 1
        at = min(stop + 1, end)
    return count - first, at


def split(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    ns_per: int,
    rows: NDArray[np.int64],
    doubtful: NDArray[np.bool_],
    first: int,
    *,
    last: bool,
    searched: int = 0,
) -> tuple[int, int]:
    r"""Split complete lines off a piece of a file.

    A line longer than `LINE_MAX_BYTES` is cut to that length; one of nothing but whitespace has size 0.

    Parameters
    ----------
    data
        uint8, the piece followed by `PADDING` bytes.
    at, end
        Where the lines begin, and one past the last byte of the piece.
    ns_per
        The unit of the receive times before the lines in ns, 0 if there are none.
    rows
        int64[3, n], output: the receive time in ns (only if `ns_per` is given), where the value begins, and
        its size.
    doubtful
        bool[n], output: whether a line is not plain; its value is then the whole line.
    first
        The first row to write; at most the rows from there on are filled.
    last
        Whether the file ends with this piece, so that its last line needs no newline.
    searched
        Up to where the first line is known to have no newline.

    Returns
    -------
    int, int
        How many lines were split off, and where the next one begins.

    Raises
    ------
    IndexError
        When the range lies outside the data.

    Examples
    --------
    >>> data = np.frombuffer(bytearray(b"5 a\n\n77: {}\n8 " + bytes(PADDING)), np.uint8)
    >>> rows, doubtful = np.empty((3, 9), np.int64), np.empty(9, np.bool_)
    >>> split(data, 0, len(data) - PADDING, 10**6, rows, doubtful, 0, last=False)
    (3, 12)
    >>> rows[:, :3].tolist(), doubtful[:3].tolist()
    ([[5000000, 0, 77000000], [2, 4, 9], [1, 0, 2]], [False, True, False])
    """
    if not 0 <= at <= end <= len(data) - PADDING:
        raise IndexError(f"bytes {at} to {end} of {len(data) - PADDING}")
    limit = np.uint64(TIME_MAX_NS // max(ns_per, 1))
    count, next_at = _split(
        data,
        _NEWLINES,
        at,
        end,
        min(searched, end),
        last,
        ns_per,
        limit,
        LINE_MAX_BYTES,
        rows,
        doubtful,
        first,
    )
    return int(count), int(next_at)
