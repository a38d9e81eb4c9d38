"""Sequence numbers of events, and how many of them are missing.

Many feeds number events per venue or per connection, so that one instrument sees gaps all the time. Only an
instrument whose numbers were consecutive for `STEADY` events is taken to have its own sequence, and only then
does a gap mean missing events. A number below the last one is a reset counter or a late event: it ends the
run but is not a gap.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import HEARTBEAT, METRIC, ORDER, QUOTE, STATUS, TIMER, TRADE, State
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows
from detectors.features.series_banks import SharedCopies
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn

_EVENTS = frozenset({TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT})

STEADY = 30
"""Consecutive events without a gap before a gap counts."""


@kernel
def _missing_rows(slot, kind, sequence, last, run, missing, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        number = sequence[row]
        if kind[row] != TIMER and math.isfinite(number):
            gap = number - last[s] - 1.0
            if gap == 0.0:
                run[s] += 1
                missing[s] = 0.0 if run[s] >= STEADY else np.nan
            elif gap != -1.0:  # a repeated number is a repeated event
                missing[s] = gap if gap > 0.0 and run[s] >= STEADY else np.nan
                run[s] = 0
            last[s] = number
        out[row] = missing[s]


class _Missing:
    """How many numbers are missing right before the last numbered event."""

    def __init__(self) -> None:
        self._arrays = SlotArrays(
            {
                "last": SlotColumn(np.float64, np.nan),
                "run": SlotColumn(np.int64),
                "missing": SlotColumn(np.float64, np.nan),
            }
        )

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        a = self._arrays
        sequence = rows.column("sequence")
        _missing_rows(rows.slot, rows.kind, sequence, a["last"], a["run"], a["missing"], out)
        return out

    def rebase(self, slot: int, to: int) -> None:
        pass  # numbers only, no times

    def forget(self, slot: int) -> None:
        self._arrays.forget(slot)

    def state(self, copies: SharedCopies) -> State:
        return copies.of(self._arrays)

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


FAMILIES = (
    Family(
        stem="missing_events",
        doc=(
            "sequence numbers missing right before the last numbered event; NaN until 30 events in a row "
            "had none missing"
        ),
        unit="number",
        shape="positive",
        fed_by=_EVENTS,
        needs=frozenset({"sequence"}),
        build=lambda _window, _banks: _Missing(),
        windowed=False,
    ),
)
