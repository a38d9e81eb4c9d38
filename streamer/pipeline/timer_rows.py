"""A timer as a batch: one row for each instrument of the task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.messages.batch import Batch, Instrument, Kind
from streamer.messages.records import NO_TIME
from streamer.messages.texts import Strings, Texts

_NO_ROW = -1


def timer_batch(instruments: Sequence[Instrument], ts_ns: int) -> Batch:
    """A batch with one row for each instrument of a task.

    Parameters
    ----------
    instruments
        By slot.
    ts_ns
        The timer's event time, ns.
    """
    n = len(instruments)
    return Batch(
        instruments=instruments,
        instrument=np.arange(n, dtype=np.int32),
        kind=np.full(n, Kind.TIMER, np.int8),
        ts=np.full(n, ts_ns, np.int64),
        record_ts=np.full(n, NO_TIME, np.int64),
        source=np.zeros(n, np.int16),
        offset=np.full(n, _NO_ROW, np.int64),
        index=np.full(n, _NO_ROW, np.int16),
        numbers={},
        texts=Texts(Strings(), {}),
    )
