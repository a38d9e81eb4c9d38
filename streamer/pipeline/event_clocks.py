"""Event time row by row: which events are admitted, and each instrument's own clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND

_NO_TIME = int(NO_TIME)


@kernel
def _is_ahead(t, r, watermark, max_ahead):  # type: ignore[no-untyped-def]
    return r != _NO_TIME and t > r + max_ahead and (watermark == _NO_TIME or t > watermark + max_ahead)


@kernel
def admit(
    ts: NDArray[np.int64],
    record_ts: NDArray[np.int64],
    watermark: int,
    max_ahead: int,
    accepted: NDArray[np.bool_],
) -> int:
    """Mark the events to admit, and return the watermark after them.

    An event more than `max_ahead` ns past both the watermark and its record's timestamp is rejected and
    does not advance the watermark. Without a record timestamp, every event is admitted.

    Parameters
    ----------
    ts, record_ts
        int64[n], ns.
    watermark
        Before the first row, ns; `NO_TIME` before the first event.
    max_ahead
        ns.
    accepted
        bool[n], output.
    """
    for i in range(ts.shape[0]):
        accepted[i] = not _is_ahead(ts[i], record_ts[i], watermark, max_ahead)
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
        int64[slots], ns: each instrument's clock, advanced in place.
    clock
        int64[n], ns, output.
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
def admit_and_advance(
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
    """`admit`, slot look-up and `advance` in one pass, if every event is admitted and has a slot.

    Parameters
    ----------
    ts, record_ts, watermark, max_ahead
        As in `admit`.
    instrument
        int32[n].
    slots
        The slot of each instrument, negative if it has none yet.
    last
        As in `advance`.
    slot, clock
        int32[n] and int64[n] ns, output.

    Returns
    -------
    admitted : bool
        False if an event is rejected or is the first of its instrument; then no clock has moved.
    watermark, late : int
        The watermark after the events, and how many were late.
    """
    for i in range(ts.shape[0]):
        slot[i] = slots[instrument[i]]
        if slot[i] < 0 or _is_ahead(ts[i], record_ts[i], watermark, max_ahead):
            return False, watermark, 0
        watermark = max(watermark, ts[i])
    return True, watermark, advance(slot, ts, last, clock)


@kernel
def running_seconds(ts: NDArray[np.int64], highest: int, second: NDArray[np.int64]) -> int:
    """Give each row the second of the highest event time up to it; returns the highest event time.

    Parameters
    ----------
    ts
        int64[n], ns, in arrival order.
    highest
        The highest event time before them, ns.
    second
        int64[n], output; not negative.
    """
    last = -1
    for i in range(ts.shape[0]):
        highest = max(highest, int(ts[i]))
        if last < 0 or not 0 <= highest - last * NS_PER_SECOND < NS_PER_SECOND:
            last = max(highest // NS_PER_SECOND, 0)
        second[i] = last
    return highest
