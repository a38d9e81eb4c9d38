"""Event time, kept row by row: which events are let in, and each instrument's own clock."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from streamer.events.batch import NO_TIME

_NO_TIME = int(NO_TIME)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def admit(
    ts: NDArray[np.int64],
    record_ts: NDArray[np.int64],
    watermark: int,
    max_ahead: int,
    accepted: NDArray[np.bool_],
) -> int:
    """Mark the events to let in, and return the watermark after them.

    An event more than `max_ahead` ns past both the watermark and its record's timestamp is
    refused and does not move the watermark; where the record has no timestamp all are let in.

    Parameters
    ----------
    ts, record_ts
        int64[n], ns.
    watermark
        ns before the first row, `NO_TIME` where there was no event yet.
    max_ahead
        ns.
    accepted
        bool[n], written.
    """
    for i in range(ts.shape[0]):
        t = ts[i]
        r = record_ts[i]
        ahead = r != _NO_TIME and t > r + max_ahead and (watermark == _NO_TIME or t > watermark + max_ahead)
        accepted[i] = not ahead
        if not ahead and t > watermark:
            watermark = t
    return watermark


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def advance(
    slot: NDArray[np.int32], ts: NDArray[np.int64], last: NDArray[np.int64], clock: NDArray[np.int64]
) -> int:
    """Give each row its instrument's clock, max(ts, the instrument's last); returns how many were late.

    Parameters
    ----------
    slot, ts
        int32[n] and int64[n] ns, in arrival order.
    last
        int64[slots], ns: each instrument's clock, moved on.
    clock
        int64[n], ns, written.
    """
    late = 0
    for i in range(slot.shape[0]):
        s = slot[i]
        if ts[i] >= last[s]:
            last[s] = ts[i]
        else:
            late += 1
        clock[i] = last[s]
    return late
