"""The order in which the records of several members of a log become one: a kernel over their times.

Each member keeps its own order. Of the records that are next, the one with the least time is first, at a tie
that of the member that stands first. A record's time is its member's highest record time so far; where there
is none, its member's own guarded watermark.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.messages.records import NO_TIME

NOTHING_FOLLOWS = int(np.iinfo(np.int64).max)
"""The least time that can follow in a member that the others do not wait for: it has ended, or is idle."""

Times = NDArray[np.int64]


class MergedOrder(NamedTuple):
    """Records of several members in one order.

    Parameters
    ----------
    order
        int64[k]: indices into all members' records, one member's behind the other's.
    taken
        int64[m]: how many of each member's records these are; always its first ones.
    """

    order: NDArray[np.int64]
    taken: NDArray[np.int64]


@kernel
def _precedes(heads, one, other):
    return heads[one] < heads[other] or (heads[one] == heads[other] and one < other)


@kernel
def _sift(heap, heads, at):
    """Let the member at one place of the heap sink below all that precede it."""
    n, member = heap.shape[0], heap[at]
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and _precedes(heads, heap[child + 1], heap[child]):
            child += 1
        if _precedes(heads, member, heap[child]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = member


@kernel
def _merge(times, ends, least_next, order, taken):
    """Write the order; returns how many records can be ordered."""
    n_members, n, begin = ends.shape[0], 0, 0
    heads, begins = np.empty(n_members, np.int64), np.empty(n_members, np.int64)
    heap = np.arange(n_members)
    for member in range(n_members):
        begins[member] = begin
        heads[member] = times[begin] if begin < ends[member] else least_next[member]
        begin = ends[member]
    for at in range(n_members // 2 - 1, -1, -1):
        _sift(heap, heads, at)
    while n < order.shape[0]:
        member = heap[0]
        at = begins[member] + taken[member]
        if at == ends[member]:
            break  # it may bring the next one
        rival = member
        for place in range(1, min(n_members, 3)):
            if rival == member or _precedes(heads, heap[place], rival):
                rival = heap[place]
        while n < order.shape[0]:
            order[n] = at
            n, at = n + 1, at + 1
            heads[member] = times[at] if at < ends[member] else least_next[member]
            if at == ends[member] or (rival != member and _precedes(heads, rival, member)):
                break
        taken[member] = at - begins[member]
        _sift(heap, heads, 0)
    return n


def merged_order(times: Sequence[Times], least_next: Sequence[int], at_most: int) -> MergedOrder:
    """Merge the records that members have waiting, as far as what they will bring cannot change the order.

    However the members' records are cut into calls, the order is the same.

    Parameters
    ----------
    times
        int64 ns of each member's waiting records, by the members' place in their log.
    least_next
        ns: the least time that each member's next record, after those, can have. For one whose times never
        go back this is its highest so far, `NO_TIME` if nothing is known, and `NOTHING_FOLLOWS` if the
        others do not wait for it.
    at_most
        How many records to order at most.

    Examples
    --------
    >>> trades, quotes = np.array([10, 40]), np.array([10, 20, 50])
    >>> merged_order([trades, quotes], [40, 50], 99)
    MergedOrder(order=array([0, 2, 3, 1]), taken=array([2, 2]))
    >>> merged_order([trades, quotes], [NOTHING_FOLLOWS, 50], 99).order.tolist()
    [0, 2, 3, 1, 4]
    >>> merged_order([trades, quotes[:0]], [40, NO_TIME], 99).order.tolist()  # quotes may bring anything
    []
    """
    sizes = np.array([len(each) for each in times], np.int64)
    order = np.empty(min(int(sizes.sum()), at_most), np.int64)
    taken = np.zeros(len(sizes), np.int64)
    if not len(order):
        return MergedOrder(order, taken)
    waiting = np.concatenate([np.ascontiguousarray(each, np.int64) for each in times])
    n = _merge(waiting, np.cumsum(sizes), np.array(least_next, np.int64), order, taken)
    return MergedOrder(order[:n], taken)


def highest_so_far(record_times: Times, before: int) -> Times:
    """A member's highest record time up to each record, ns; `NO_TIME` as long as no record had one.

    Parameters
    ----------
    record_times
        int64[n] ns, `NO_TIME` where a record has none.
    before
        The highest before them.

    Examples
    --------
    >>> highest_so_far(np.array([NO_TIME, 50, NO_TIME, 40, 60]), 45).tolist()
    [45, 50, 50, 50, 60]
    """
    if not len(record_times):
        return record_times
    highest: Times = np.maximum.accumulate(record_times)
    return highest if before == NO_TIME else np.maximum(highest, before)


@kernel
def _rows(order, first_row, end_row, rows):
    n = 0
    for record in order:
        for row in range(first_row[record], end_row[record]):
            rows[n] = row
            n += 1


def rows_in_order(
    order: NDArray[np.int64], first_row: NDArray[np.int64], end_row: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The rows of records' events in the order of the records; one record's stay together.

    Parameters
    ----------
    order
        int64[k]: records.
    first_row, end_row
        int64[n]: each record's first row, and one past its last one.

    Examples
    --------
    >>> rows_in_order(np.array([2, 0, 1]), np.array([0, 1, 1]), np.array([1, 1, 4]))  # 1, 0 and 3 events
    array([1, 2, 3, 0])
    """
    rows = np.empty(int((end_row - first_row)[order].sum()), np.int64)
    _rows(order, first_row, end_row, rows)
    return rows


def prepare_merging() -> None:
    """Load or compile what merges members, so that no record waits for a compiler."""
    two = np.zeros(2, np.int64)
    merged_order([two, two], [NOTHING_FOLLOWS, NOTHING_FOLLOWS], 4)
    rows_in_order(np.zeros(1, np.int64), np.array([0], np.int64), np.array([1], np.int64))
