"""The drift of one watched name: blocks, a reference, and every monitor against it.

A series goes through two states. It first learns: its values make a reference, of which each monitor
takes as much as it needs. Values that hang together would look like drift to any monitor, so where the
reference's neighbours are correlated beyond `CORRELATED`, pairs are put together and a value covers twice
the time, up to `LONGEST_SPAN_S`. Then it is watched. When a monitor finds a drift, that is told once,
everything about the series is forgotten, and it learns anew: what it has drifted to is the new normal.
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
"""The lag-1 autocorrelation beyond which neighbouring values are put together."""

LONGEST_SPAN_S = 64
"""No value comes to cover more seconds than this by being put together."""

_VERSION = 1
_RECENT = 300
_FEWEST_AFTER = 5  # values by which the level after a drift is told, at least
_BOUND = 3.0  # robust deviations, beyond which a value says no more about where the level changed


@dataclass(frozen=True, slots=True)
class Level:
    """Where values lie: their median, and their 10 % and 90 % quantiles."""

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
        The row that closed the block on which it was found.
    series
        Whose.
    evidence
        Which monitor, and what it measured.
    before, after
        The reference, and the values since the drift as far as they are known.
    span_s
        Seconds that one value covers.
    """

    row: int
    series: int
    evidence: Evidence
    before: Level
    after: Level
    span_s: int


class DriftBank:
    """Many series of one kind, such as one a task or one an instrument.

    Parameters
    ----------
    block_s
        Seconds that a value covers at least: values of a window overlap within it.
    summed
        True for a count: a second's value is the sum of its rows.
    scale_floor
        The least spread that counts, in the series' unit.

    Examples
    --------
    >>> bank = DriftBank(1)
    >>> bank.grow(1)
    >>> second = np.arange(1400)
    >>> spread = np.where(second < 1300, 1.0, 2.0) + second * 7 % 5 / 100
    >>> [found] = bank.step(np.zeros(1400, np.int32), second, spread)
    >>> found.row, round(found.before.middle, 2), round(found.after.middle, 2)
    (1320, 1.02, 2.02)
    """

    def __init__(self, block_s: int, *, summed: bool = False, scale_floor: float = 0.0) -> None:
        self._block_s = block_s
        self._scale_floor = scale_floor
        self._blocks = Blocks(block_s, summed=summed)
        self._monitors = {name: make() for name, make in MONITORS.items()}
        self._needed: dict[int, tuple[int, ...]] = {}
        self._arrays = SlotArrays(
            {
                "reference": SlotColumn(np.float64, np.nan, (MOST_VALUES,)),
                "learnt": SlotColumn(np.int64),
                "times": SlotColumn(np.int64, 1),  # blocks in a value
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
        """What it computes; state may go from one bank to another wherever this is the same."""
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
        """Take m rows in order; see `Blocks.step` for what they are. Drifts come in the rows' order."""
        rows, values = self._blocks.step(series, second, value)
        found = []
        for row, block in zip(rows.tolist(), values.tolist(), strict=True):
            drift = self._block(row, int(series[row]), block)
            if drift is not None:
                found.append(drift)
        return found

    def add(self, series: int, amount: float) -> None:
        """Add to the open second of a count."""
        self._blocks.add(series, amount)

    def watched(self) -> tuple[int, int, int]:
        """How many series are watched by every monitor, how many there are, and their drifts so far."""
        n, arrays = self._arrays.n_slots, self._arrays
        whole = np.count_nonzero(arrays["started"][:n].all(axis=1))
        return int(whole), n, int(arrays["drifts"][:n].sum())

    def state(self) -> State:
        """An exact copy of the state."""
        return {
            f"{part}/{name}": a for part, kept in self._parts().items() for name, a in kept.state().items()
        }

    def restore(self, state: State) -> None:
        """Go on from what `state()` of a bank of the same spec gave."""
        for part, kept in self._parts().items():
            prefix = f"{part}/"
            kept.restore({key.removeprefix(prefix): a for key, a in state.items() if key.startswith(prefix)})

    def _parts(self) -> dict[str, Blocks | SlotArrays | Monitor]:
        return {"blocks": self._blocks, "own": self._arrays, **self._monitors}

    def _block(self, row: int, s: int, block: float) -> Drift | None:
        """Put blocks together to a value, and take it."""
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
        evidence = self._ask(s, value)
        self._learn(s, value)
        if evidence is None:
            return None
        before, after = self._levels(s, evidence)
        self._forget(s)
        return Drift(row, s, evidence, before, after, times * self._block_s)

    def _ask(self, s: int, value: float) -> Evidence | None:
        """Every monitor that has a reference takes the value; the first that speaks is heard."""
        found = None
        for number, monitor in enumerate(self._monitors.values()):
            if self._arrays["started"][s, number]:
                said = monitor.feed(s, value)
                found = found or said
        return found

    def _learn(self, s: int, value: float) -> None:
        arrays = self._arrays
        learnt = int(arrays["learnt"][s])
        if learnt == MOST_VALUES:
            return
        arrays["reference"][s, learnt] = value
        arrays["learnt"][s] = learnt + 1
        due = self._due(s)
        while due and self._put_together(s):
            due = self._due(s)
        for number in due:
            monitor = list(self._monitors.values())[number]
            needed = monitor.needs(self._span_s(s))
            reference = arrays["reference"][s, : arrays["learnt"][s]]
            monitor.start(s, reference[:needed].copy(), self._scale_floor)
            arrays["started"][s, number] = 1
            for later in reference[needed:].tolist():
                monitor.feed(s, later)

    def _span_s(self, s: int) -> int:
        return int(self._arrays["times"][s]) * self._block_s

    def _due(self, s: int) -> list[int]:
        """The monitors that have not started, and have what they need."""
        learnt, started = int(self._arrays["learnt"][s]), self._arrays["started"][s].tolist()
        needs = self._needs(self._span_s(s))
        return [at for at, needed in enumerate(needs) if not started[at] and learnt >= needed]

    def _needs(self, span_s: int) -> tuple[int, ...]:
        """How many values each monitor's reference takes."""
        if span_s not in self._needed:
            self._needed[span_s] = tuple(monitor.needs(span_s) for monitor in self._monitors.values())
        return self._needed[span_s]

    def _put_together(self, s: int) -> bool:
        """Let values cover twice the time where neighbours hang together; True when that was done."""
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

    def _forget(self, s: int) -> None:
        arrays = self._arrays
        for name, empty in (("reference", np.nan), ("recent", np.nan), ("started", 0), ("times", 1)):
            arrays[name][s] = empty
        for name in ("learnt", "seen", "part_n", "part"):
            arrays[name][s] = 0
        arrays["drifts"][s] += 1


def _autocorrelation(values: NDArray[np.float64]) -> float:
    """At lag 1, of values cut at three robust deviations: one wild value says nothing about the others."""
    middle, scale = middle_and_scale(values, 0.0)
    cut = np.clip((values - middle) / scale, -_BOUND, _BOUND)
    cut -= cut.mean()
    power = float((cut * cut).sum())
    return float((cut[1:] * cut[:-1]).sum()) / power if power > 0 else 0.0


def _since_change(reference: NDArray[np.float64], recent: NDArray[np.float64], floor: float) -> int:
    """How many of the latest values came after the change.

    It is where their place, or their distance from the middle, stands out most from the reference's.
    """
    middle, scale = middle_and_scale(reference, floor)
    usual = np.clip((reference - middle) / scale, -_BOUND, _BOUND)
    latest = np.clip((recent[::-1] - middle) / scale, -_BOUND, _BOUND)
    count = np.arange(1, len(latest) + 1)
    place = np.abs(np.cumsum(latest - usual.mean()))
    distance = np.abs(np.cumsum(np.abs(latest) - np.abs(usual).mean()))
    evidence = np.maximum(place, distance) / np.sqrt(count)
    return int(np.argmax(evidence[_FEWEST_AFTER - 1 :])) + _FEWEST_AFTER
