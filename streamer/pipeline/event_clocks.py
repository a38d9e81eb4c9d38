"""Event time, kept row by row: which events are let in, and each instrument's own clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.messages.records import NO_TIME

_NO_TIME = int(NO_TIME)
_NS = 1_000_000_000


@kernel
def _ahead(t, r, watermark, max_ahead):  # type: ignore[no-untyped-def]
    return r != _NO_TIME and t > r + max_ahead and (watermark == _NO_TIME or t > watermark + max_ahead)


@kernel
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
        accepted[i] = not _ahead(ts[i], record_ts[i], watermark, max_ahead)
        if accepted[i] and ts[i] > watermark:
            watermark = ts[i]
    return watermark


@kernel
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


@kernel
def take_in(
    ts: NDArray[np.int64],
    record_ts: NDArray[np.int64],
    instrument: NDArray[np.int32],
    slots: NDArray[np.int32],
    watermark: int,
    max_ahead: int,
    last: NDArray[np.int64],
    slot: NDArray[np.int32],
    clock: NDArray[np.int64],
) -> tuple[bool, int, int]:
    """Do what `admit`, the numbering of instruments and `advance` do, where nothing stands in the way.

    Parameters
    ----------
    ts, record_ts, watermark, max_ahead
        As in `admit`.
    instrument
        int32[n].
    slots
        The slot of each instrument, below 0 where it has none yet.
    last
        As in `advance`.
    slot, clock
        int32[n] and int64[n] ns, written.

    Returns
    -------
    taken : bool
        False where an event is refused, or is the first of its instrument: then nothing has been done.
    watermark, late : int
        After the events, and how many were late.
    """
    for i in range(ts.shape[0]):
        slot[i] = slots[instrument[i]]
        if slot[i] < 0 or _ahead(ts[i], record_ts[i], watermark, max_ahead):
            return False, watermark, 0
        watermark = max(watermark, ts[i])
    return True, watermark, advance(slot, ts, last, clock)


@kernel
def reach(ts: NDArray[np.int64], reached: int, second: NDArray[np.int64]) -> int:
    """Give each row the second of the highest event time up to it; returns that time.

    Parameters
    ----------
    ts
        int64[n], ns, in arrival order.
    reached
        The highest event time before them, ns.
    second
        int64[n], written; not negative.
    """
    last = -1
    for i in range(ts.shape[0]):
        reached = max(reached, int(ts[i]))
        if last < 0 or not 0 <= reached - last * _NS < _NS:
            last = max(reached // _NS, 0)
        second[i] = last
    return reached
