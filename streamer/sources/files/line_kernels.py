"""The lines of a piece of a file as columns: a kernel over its bytes.

A line that is not plain (a blank one, one without the receive time it should have, what a capture notes of
its connection) is found but not judged: that is left to whoever reads lines one by one.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.decoding.event_fields import TIME_MAX_NS
from streamer.decoding.json.wide_loads import byte_at, equal_bytes, trailing_zeros, word_at
from streamer.messages.record_block import PADDING
from streamer.messages.time_units import NS_PER_MS, NS_PER_SECOND
from streamer.sources.files.line_reader import LINE_MAX_BYTES

_NUMBER_MAX = 19  # digits before the point
_FRACTION_MAX = 9  # digits behind it: with those before it few enough for exact decimal arithmetic
_BLANK, _POINT, _COLON, _ZERO, _NEWLINE, _RETURN = (ord(character) for character in " .:0\n\r")

_TENS = np.array([10**power for power in range(_FRACTION_MAX)], np.int64)
_ZEROS = np.uint64(_ZERO * 0x0101010101010101)
_SIX_EACH = np.uint64(0x0606060606060606)
_UPPER_HALVES = np.uint64(0xF0F0F0F0F0F0F0F0)
_PAIR = np.uint64(0x000000FF000000FF)
_HUNDREDS = np.uint64(100 + (1_000_000 << 32))
_ONES = np.uint64(1 + (10_000 << 32))
_NEWLINES = np.full(32, _NEWLINE, np.uint8)


@kernel(forceinline=True)
def _newline(at, end, newlines):
    """The first newline, `end` where there is none before it."""
    while at < end:
        found = equal_bytes(at, newlines)
        if found:
            return min(at + trailing_zeros(found), end)
        at += 32
    return end


@kernel(forceinline=True)
def _digits(at, end):
    """The number that stands here, and where it ends; it wraps around where it is too long."""
    value = np.uint64(0)
    while at + 8 <= end:
        digits = word_at(at) ^ _ZEROS  # each 0 to 9, or something greater
        if ((digits + _SIX_EACH) | digits) & _UPPER_HALVES:
            break
        # neighbours become pairs, pairs fours, and fours the eight
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
def _timed(at, end, ns_per, limit):
    """The receive time that a line begins with, in ns, and where what follows begins; -1 where in doubt."""
    value, k = _digits(at, end)
    if k == at or k - at > _NUMBER_MAX or value >= limit:
        return 0, -1
    ns = np.int64(value) * ns_per
    if k < end and byte_at(k) == _POINT:
        fraction, behind = _digits(k + 1, end)
        size = behind - k - 1
        if size == 0 or size > _FRACTION_MAX:
            return 0, -1
        if ns_per == NS_PER_SECOND:
            ns += np.int64(fraction) * _TENS[_FRACTION_MAX - size]
        k = behind
    if k < end and byte_at(k) == _COLON:
        k += 1
    if k >= end or byte_at(k) != _BLANK:
        return 0, -1
    return ns, k + 1


@kernel
def _split(data, newlines, at, end, last, ns_per, limit, longest, rows, doubtful, first):
    base, newlines_at = data.ctypes.data, newlines.ctypes.data
    count = first
    while count < rows.shape[1] and at < end:
        stop = _newline(base + at, base + end, newlines_at) - base
        if stop == end and not last:
            break
        size = min(stop - at, longest)
        while size > 0 and data[at + size - 1] == _RETURN:
            size -= 1
        value, time = at, 0
        if ns_per > 0:
            ns, behind = _timed(base + at, base + at + size, ns_per, limit)
            doubtful[count] = behind < 0
            if behind > 0:
                time, value = ns // NS_PER_MS * NS_PER_MS, behind - base
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
) -> tuple[int, int]:
    r"""Take lines off a piece of a file, as long as there are whole ones.

    Of a line longer than `LINE_MAX_BYTES` so many are taken.

    Parameters
    ----------
    data
        uint8, with `PADDING` bytes more than belong to lines.
    at, end
        Where the lines begin, and one past the last byte that is there.
    ns_per
        The unit of the receive times before the lines in ns, 0 where there are none.
    rows
        int64[3, n], written: the receive time in ns at ms resolution (only where `ns_per` is given), where
        the value begins, and its size.
    doubtful
        bool[n], written: whether a line is not plain. Its value is the whole line then.
    first
        Which row is written first; there are no more lines taken than rows from there on.
    last
        Whether the file ends there, so that what has no newline is a line, too.

    Returns
    -------
    int, int
        How many lines were taken, and where the next one begins.

    Raises
    ------
    IndexError
        When the lines are not within the data.

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
    count, behind = _split(
        data, _NEWLINES, at, end, last, ns_per, limit, LINE_MAX_BYTES, rows, doubtful, first
    )
    return int(count), int(behind)
