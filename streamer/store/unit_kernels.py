"""Kernels over the bytes of arrays: which units differ, and how units are gathered and put back."""
# mypy: disable-error-code=no-untyped-def

from __future__ import annotations

from detectors.kernels import kernel

_BLOCK = 64


@kernel
def _differ(one, other):
    differs = one[0] ^ other[0]
    for word in range(1, one.shape[0]):
        differs |= one[word] ^ other[word]
    return differs != 0


@kernel
def changed_units(rows, live, stride, image, width, words, index):
    """Copy what differs in these rows from `live` to `image`, and note the units; returns how many.

    Both are flat and of one type. A row has `width` words and begins every `stride` words in `live`; a unit
    has `words` of them, the last of a row perhaps fewer. Most of what is compared is equal: many units are
    looked at in one go, which is as fast as memory is, and one by one only where they differ.
    """
    found = 0
    per_row = (width + words - 1) // words
    at_once = max(1, _BLOCK // words)
    for i in range(rows.shape[0]):
        here, there = rows[i] * width, rows[i] * stride
        for begin in range(0, per_row, at_once):
            stop = min(begin + at_once, per_row)
            first, end = begin * words, min(stop * words, width)
            if not _differ(live[there + first : there + end], image[here + first : here + end]):
                continue
            for unit in range(begin, stop):
                first, end = unit * words, min((unit + 1) * words, width)
                if _differ(live[there + first : there + end], image[here + first : here + end]):
                    for word in range(first, end):
                        image[here + word] = live[there + word]
                    index[found] = rows[i] * per_row + unit
                    found += 1
    return found


@kernel
def units_not_zero(data, words, index):
    """Note the units that hold anything but zeros; returns how many. The last one may be shorter."""
    found = 0
    for first in range(0, data.shape[0], words):
        differs = False
        for word in range(first, min(first + words, data.shape[0])):
            differs |= data[word] != 0
        if differs:
            index[found] = first // words
            found += 1
    return found


@kernel
def gather(data, unit, index, out):
    """Write these units one behind the other; returns the bytes written."""
    written = 0
    for i in range(index.shape[0]):
        for at in range(index[i] * unit, min((index[i] + 1) * unit, data.shape[0])):
            out[written] = data[at]
            written += 1
    return written


@kernel
def scatter(data, unit, index, out):
    """Put units, one behind the other, back to where they belong; returns the bytes read, -1 for a misfit."""
    read = 0
    for i in range(index.shape[0]):
        first, end = index[i] * unit, min((index[i] + 1) * unit, out.shape[0])
        if end <= first or read + end - first > data.shape[0]:
            return -1
        for at in range(first, end):
            out[at] = data[read]
            read += 1
    return read
