"""Time between trades, and silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import HEARTBEAT, METRIC, ORDER, QUOTE, STATUS, TIMER, TRADE, State
from detectors.features.family import Family
from detectors.features.feature_rows import FeatureRows, bits_of, is_of
from detectors.features.series_banks import SharedCopies
from detectors.features.windows import NEVER
from detectors.kernels import kernel
from detectors.slot_arrays import SlotArrays, SlotColumn
from detectors.time_units import NS_PER_SECOND

_TRADES = frozenset({TRADE})
_EVENTS = frozenset({TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT})


@kernel
def _gap_rows(slot, kind, clock, kinds, running, last, gap, out):  # type: ignore[no-untyped-def]
    for row in range(slot.shape[0]):
        s = slot[row]
        elapsed = np.nan
        if last[s] != NEVER:
            elapsed = (clock[row] - last[s]) / NS_PER_SECOND
        if is_of(kind[row], kinds):
            last[s] = clock[row]
            gap[s] = elapsed
        out[row] = elapsed if running else gap[s]


class _Gap:
    """Seconds since the last event of some kinds: running on, or as measured at the last such event."""

    def __init__(self, kinds: frozenset[int], running: bool) -> None:
        self._kinds = bits_of(kinds)
        self._running = running
        self._arrays = SlotArrays(
            {"last": SlotColumn(np.int64, NEVER), "gap": SlotColumn(np.float64, np.nan)}
        )

    def grow(self, n_slots: int) -> None:
        self._arrays.grow(n_slots)

    def step(self, rows: FeatureRows) -> NDArray[np.float64]:
        out = np.empty(len(rows))
        last, gap = self._arrays["last"], self._arrays["gap"]
        _gap_rows(rows.slot, rows.kind, rows.clock, self._kinds, self._running, last, gap, out)
        return out

    def rebase(self, slot: int, to: int) -> None:
        # When the last event was is unknown then, and so is the gap that was measured at it.
        last, gap = self._arrays["last"], self._arrays["gap"]
        if last[slot] > to:
            last[slot], gap[slot] = NEVER, np.nan

    def forget(self, slot: int) -> None:
        self._arrays.forget(slot)

    def state(self, copies: SharedCopies) -> State:
        return copies.of(self._arrays)

    def restore(self, state: State) -> None:
        self._arrays.restore(state)


FAMILIES = (
    Family(
        stem="interarrival_s",
        doc="seconds between the instrument's last two trades",
        unit="seconds",
        shape="positive",
        fed_by=_TRADES,
        needs=frozenset(),
        build=lambda _window, _banks: _Gap(_TRADES, running=False),
        windowed=False,
    ),
    Family(
        stem="silence_s",
        doc="seconds since the instrument's last event before this row, of any kind; it grows on timer rows",
        unit="seconds",
        shape="positive",
        fed_by=_EVENTS | {TIMER},
        needs=frozenset(),
        build=lambda _window, _banks: _Gap(_EVENTS, running=True),
        windowed=False,
    ),
)
