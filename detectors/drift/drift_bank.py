"""Drift of the series of one watched name: blocks of time, a reference, and all monitors.

A series first learns a reference, of which each monitor takes as many values as it needs. Autocorrelated
values look like drift to any monitor, so while the reference's lag-1 autocorrelation exceeds `CORRELATED`,
pairs of values are averaged and a value covers twice the time, up to `LONGEST_SPAN_S`. Then the series is
watched. A drift is reported once; after it the series' state is reset and it learns a new reference: the
level it has drifted to is the new normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.drift.monitor import MOST_VALUES, Evidence, Monitor
from detectors.drift.registry import MONITORS
from detectors.drift.robust_scale import middle_and_scale
from detectors.drift.second_blocks import Blocks
from detectors.event_columns import State
from detectors.slot_arrays import SlotArrays, SlotColumn

CORRELATED = 0.35
"""The lag-1 autocorrelation above which pairs of values are averaged."""

LONGEST_SPAN_S = 64
"""A value covers at most this many seconds, unless its block is longer."""

_VERSION = 1
_RECENT = 300
_FEWEST_AFTER = 5  # the level after a drift is taken of at least this many values
_BOUND = 3.0  # robust deviations at which values are clipped, so that one outlier does not place the change


@dataclass(frozen=True, slots=True)
class Level:
    """The level of some values: their median, and their 10 % and 90 % quantiles."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Level:
        """The level of some finite values, at least one."""
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9]).tolist()
        return cls(middle, low, high)


@dataclass(frozen=True, slots=True)
class Drift:
    """One drift of one series.

    Parameters
    ----------
    row
        The row that closed the block at which it was detected.
    series
        The series' number.
    evidence
        The monitor, and what it measured.
    before, after
        Levels of the reference, and of the values since the estimated change.
    span_s
        Seconds covered by one value.
    """

    row: int
    series: int
    evidence: Evidence
    before: Level
    after: Level
    span_s: int


class DriftBank:
    """Drift detection for many series of one kind, such as one per task or one per instrument.

    Parameters
    ----------
    block_s
        Least seconds covered by a value, so that values of a sliding window do not overlap.
    summed
        True for counts: a second's value is the sum of its rows.
    scale_floor
        A lower limit of the reference's spread, in the series' unit.

    Examples
    --------
    >>> bank = DriftBank(1)
    >>> bank.grow(1)
    >>> second = np.arange(1400)
    >>> spread = np.where(second < 1300, 1.0, 2.0) + second * 7 % 5 / 100
    >>> [drift] = bank.step(np.zeros(1400, np.int32), second, spread)
    >>> drift.row, round(drift.before.middle, 2), round(drift.after.middle, 2)
    (1320, 1.02, 2.02)
    """

    def __init__(self, block_s: int, *, summed: bool = False, scale_floor: float = 0.0) -> None:
        self._block_s = block_s
        self._scale_floor = scale_floor
        self._blocks = Blocks(block_s, summed=summed)
        self._monitors = {name: make() for name, make in MONITORS.items()}
        self._sizes_by_span: dict[int, tuple[int, ...]] = {}
        self._arrays = SlotArrays(
            {
                "reference": SlotColumn(np.float64, np.nan, (MOST_VALUES,)),
                "learnt": SlotColumn(np.int64),
                "times": SlotColumn(np.int64, 1),  # blocks per value
                "part": SlotColumn(np.float64),
                "part_n": SlotColumn(np.int64),
                "recent": SlotColumn(np.float64, np.nan, (_RECENT,)),
                "seen": SlotColumn(np.int64),
                "started": SlotColumn(np.int8, 0, (len(self._monitors),)),
                "drifts": SlotColumn(np.int64),
            }
        )

    @property
    def spec(self) -> str:
        """What it computes; banks with equal specs can restore each other's state."""
        monitors = ",".join(monitor.version for monitor in self._monitors.values())
        own = f"{_VERSION},{self._block_s},{self._scale_floor:g},{CORRELATED:g},{LONGEST_SPAN_S}"
        return f"drift[{own}]({monitors})"

    def grow(self, n_series: int) -> None:
        """Make room for `n_series` series."""
        for part in self._parts().values():
            part.grow(n_series)

    def step(
        self, series: NDArray[np.int32], second: NDArray[np.int64], value: NDArray[np.float64]
    ) -> list[Drift]:
        """Take m rows in order, as `Blocks.step` does; returns the drifts in the order of their rows."""
        rows, values = self._blocks.step(series, second, value)
        drifts = []
        for row, block in zip(rows.tolist(), values.tolist(), strict=True):
            drift = self._take_block(row, int(series[row]), block)
            if drift is not None:
                drifts.append(drift)
        return drifts

    def set_back(self, second: int) -> None:
        """Let what is open go on from an earlier second; see `Blocks.set_back`."""
        self._blocks.set_back(second)

    def forget(self, series: int) -> None:
        """Make one series as it was before its first row, to the bit: it begins with a new reference."""
        for part in self._parts().values():
            part.forget(series)

    def add(self, series: int, amount: float) -> None:
        """Add to the open second of a count."""
        self._blocks.add(series, amount)

    def watched(self) -> tuple[int, int, int]:
        """Series watched by all monitors, series in all, and their drifts so far."""
        n, arrays = self._arrays.n_slots, self._arrays
        complete = np.count_nonzero(arrays["started"][:n].all(axis=1))
        return int(complete), n, int(arrays["drifts"][:n].sum())

    def state(self) -> State:
        """An exact copy of the state."""
        return {
            f"{name}/{key}": array
            for name, part in self._parts().items()
            for key, array in part.state().items()
        }

    def restore(self, state: State) -> None:
        """Continue from the `state()` of a bank with the same spec."""
        for name, part in self._parts().items():
            prefix = f"{name}/"
            part.restore({key.removeprefix(prefix): a for key, a in state.items() if key.startswith(prefix)})

    def _parts(self) -> dict[str, Blocks | SlotArrays | Monitor]:
        return {"blocks": self._blocks, "own": self._arrays, **self._monitors}

    def _take_block(self, row: int, s: int, block: float) -> Drift | None:
        """Average blocks into a value, and take it once it is complete."""
        arrays = self._arrays
        arrays["part"][s] += block
        arrays["part_n"][s] += 1
        times = int(arrays["times"][s])
        if arrays["part_n"][s] < times:
            return None
        value = float(arrays["part"][s]) / times
        arrays["part"][s], arrays["part_n"][s] = 0.0, 0
        arrays["recent"][s, arrays["seen"][s] % _RECENT] = value
        arrays["seen"][s] += 1
        evidence = self._feed_monitors(s, value)
        self._learn(s, value)
        if evidence is None:
            return None
        before, after = self._levels(s, evidence)
        self._reset(s)
        return Drift(row, s, evidence, before, after, times * self._block_s)

    def _feed_monitors(self, s: int, value: float) -> Evidence | None:
        """Feed the value to every monitor that has started; returns the first one's evidence."""
        first = None
        for number, monitor in enumerate(self._monitors.values()):
            if self._arrays["started"][s, number]:
                monitor_evidence = monitor.feed(s, value)
                first = first or monitor_evidence
        return first

    def _learn(self, s: int, value: float) -> None:
        arrays = self._arrays
        learnt = int(arrays["learnt"][s])
        if learnt == MOST_VALUES:
            return
        arrays["reference"][s, learnt] = value
        arrays["learnt"][s] = learnt + 1
        due = self._due_monitors(s)
        while due and self._average_pairs(s):
            due = self._due_monitors(s)
        for number in due:
            monitor = list(self._monitors.values())[number]
            size = monitor.needs(self._span_s(s))
            reference = arrays["reference"][s, : arrays["learnt"][s]]
            monitor.start(s, reference[:size].copy(), self._scale_floor)
            arrays["started"][s, number] = 1
            for later in reference[size:].tolist():
                monitor.feed(s, later)

    def _span_s(self, s: int) -> int:
        return int(self._arrays["times"][s]) * self._block_s

    def _due_monitors(self, s: int) -> list[int]:
        """Monitors that have not started although the reference is now long enough for them."""
        learnt, started = int(self._arrays["learnt"][s]), self._arrays["started"][s].tolist()
        needs = self._reference_sizes(self._span_s(s))
        return [number for number, size in enumerate(needs) if not started[number] and learnt >= size]

    def _reference_sizes(self, span_s: int) -> tuple[int, ...]:
        """Values in each monitor's reference."""
        if span_s not in self._sizes_by_span:
            self._sizes_by_span[span_s] = tuple(monitor.needs(span_s) for monitor in self._monitors.values())
        return self._sizes_by_span[span_s]

    def _average_pairs(self, s: int) -> bool:
        """Average pairs of values if they are autocorrelated; True if that was done."""
        arrays = self._arrays
        reference = arrays["reference"][s, : arrays["learnt"][s]]
        if 2 * self._span_s(s) > LONGEST_SPAN_S or _autocorrelation(reference) <= CORRELATED:
            return False
        pairs = reference[: len(reference) // 2 * 2].reshape(-1, 2).mean(axis=1)
        arrays["reference"][s] = np.nan
        arrays["reference"][s, : len(pairs)] = pairs
        arrays["learnt"][s] = len(pairs)
        arrays["times"][s] *= 2
        arrays["recent"][s] = np.nan
        arrays["recent"][s, : min(len(pairs), _RECENT)] = pairs[-_RECENT:]
        arrays["seen"][s] = min(len(pairs), _RECENT)
        arrays["started"][s] = 0
        return True

    def _levels(self, s: int, evidence: Evidence) -> tuple[Level, Level]:
        arrays = self._arrays
        reference = arrays["reference"][s, : arrays["learnt"][s]]
        reference = reference[: max(self._monitors[evidence.monitor].needs(self._span_s(s)), 1)]
        seen = int(arrays["seen"][s])
        recent = (
            np.roll(arrays["recent"][s], -(seen % _RECENT)) if seen >= _RECENT else arrays["recent"][s, :seen]
        )
        after = _since_change(reference, recent, self._scale_floor)
        return Level.of(reference), Level.of(recent[len(recent) - after :])

    def _reset(self, s: int) -> None:
        arrays = self._arrays
        for name, empty in (("reference", np.nan), ("recent", np.nan), ("started", 0), ("times", 1)):
            arrays[name][s] = empty
        for name in ("learnt", "seen", "part_n", "part"):
            arrays[name][s] = 0
        arrays["drifts"][s] += 1


def _autocorrelation(values: NDArray[np.float64]) -> float:
    """At lag 1, of values clipped at three robust deviations, so that one outlier does not hide the rest."""
    middle, scale = middle_and_scale(values, 0.0)
    clipped = np.clip((values - middle) / scale, -_BOUND, _BOUND)
    clipped -= clipped.mean()
    power = float((clipped * clipped).sum())
    return float((clipped[1:] * clipped[:-1]).sum()) / power if power > 0 else 0.0


def _since_change(reference: NDArray[np.float64], recent: NDArray[np.float64], floor: float) -> int:
    """How many of the latest values came after the change.

    The change is where the cumulated deviation of their location, or of their spread, from the reference is
    largest relative to the square root of their number.
    """
    middle, scale = middle_and_scale(reference, floor)
    usual = np.clip((reference - middle) / scale, -_BOUND, _BOUND)
    latest = np.clip((recent[::-1] - middle) / scale, -_BOUND, _BOUND)
    count = np.arange(1, len(latest) + 1)
    location = np.abs(np.cumsum(latest - usual.mean()))
    spread = np.abs(np.cumsum(np.abs(latest) - np.abs(usual).mean()))
    evidence = np.maximum(location, spread) / np.sqrt(count)
    return int(np.argmax(evidence[_FEWEST_AFTER - 1 :])) + _FEWEST_AFTER
