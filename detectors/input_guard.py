"""What stands between features and models: scales, squashing into [0, 1], and what is learnt.

Each input of each instrument has a scale of its own, the running mean of how far it lies from its
centre (zero; for inputs that live around a level, a running median). It starts as the median of
the first 15 values, so that a wild first one does no harm, and follows by steps in which no value
counts for more than ten scales. A row is always judged by the scale from before it.

With d the distance from the centre and s the scale, an input that goes upwards from zero becomes
d / (d + s), any other one 1/2 + d / (2 (|d| + s)): monotone, bounded, half way at what is usual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.event_columns import State
from detectors.fields import Shape
from detectors.kernels import kernel
from detectors.medians import insert, middle
from detectors.slot_arrays import SlotArrays, SlotColumn

VERSION = "squash.1"

ENOUGH = 15
"""Values before a scale is known."""

_GAIN = 1.0 / 500.0  # a scale follows its input within some hundreds of events
_CLIP = 10.0
_LARGEST = 1e308

_SIGNED, _POSITIVE, _LEVEL = range(3)
_CODES: Mapping[Shape, int] = {"signed": _SIGNED, "positive": _POSITIVE, "level": _LEVEL}

COUNTERS = ("learnt", "wild", "not_finite", "incomplete")
"""What became of the rows: learnt; not learnt for a wild, a non-finite, a missing input."""
_LEARNT, _WILD, _NOT_FINITE, _INCOMPLETE = range(4)

_SEEN, _KEPT, _CENTRE, _SCALE = range(4)
"""Of each input: values seen, distances kept, its centre, its scale."""


@kernel
def _away(value, centre):  # type: ignore[no-untyped-def]
    return min(abs(value - centre), _LARGEST)


@kernel
def _followed(value, centre, scale):  # type: ignore[no-untyped-def]
    away = _away(value, centre)
    return scale + _GAIN * (min(away, _CLIP * scale) - scale) if away != 0.0 else scale


@kernel
def _moved(value, centre, scale):  # type: ignore[no-untyped-def]
    if value > centre:
        return centre + _GAIN * scale
    return centre - _GAIN * scale if value < centre else centre


@kernel
def _keep_distance(value, early, at):  # type: ignore[no-untyped-def]
    away, kept = _away(value, at[_CENTRE]), int(at[_KEPT])
    if kept >= ENOUGH:
        at[_SCALE] = _followed(value, at[_CENTRE], at[_SCALE])
    elif away != 0.0:
        insert(early, kept, away)
        at[_KEPT] += 1.0
        at[_SCALE] = middle(early, kept + 1)


@kernel
def _begin(value, code, early, at):  # type: ignore[no-untyped-def]
    # An input whose first values, or first distances, are not together yet.
    seen = int(at[_SEEN])
    if seen >= ENOUGH:
        _keep_distance(value, early, at)
        if code == _LEVEL:
            at[_CENTRE] = _moved(value, at[_CENTRE], at[_SCALE])
        return
    insert(early, seen, value)
    at[_SEEN] += 1.0
    if seen + 1 == ENOUGH:
        if code == _LEVEL:
            at[_CENTRE] = middle(early, ENOUGH)
        first = early.copy()
        for i in range(ENOUGH):
            _keep_distance(first[i], early, at)


@kernel
def _squashed(value, code, centre, scale):  # type: ignore[no-untyped-def]
    away = value - centre
    part = 0.0
    if away != 0.0:
        part = 1.0 / (1.0 + scale / abs(away))
    if code == _POSITIVE:
        return part if away > 0.0 else 0.0
    return 0.5 + 0.5 * part if away >= 0.0 else 0.5 - 0.5 * part


@kernel
def _guard_rows(slot, x, code, squash, wild, early, at, started, counts, out, learn):  # type: ignore[no-untyped-def]
    width = x.shape[1]
    for row in range(slot.shape[0]):
        s = slot[row]
        present = 0
        strange = False
        infinite = False
        unknown = False
        for j in range(width):
            value = x[row, j]
            out[row, j] = np.nan
            if math.isnan(value):
                continue
            known = at[s, j, _SEEN] >= ENOUGH
            if math.isinf(value):
                infinite = True
                if squash[j] and known:
                    out[row, j] = _squashed(value, code[j], 0.0, 0.0)
                    present += 1
                continue
            centre, scale, settled = at[s, j, _CENTRE], at[s, j, _SCALE], at[s, j, _KEPT] >= ENOUGH
            if settled and abs(value - centre) > wild * scale:
                strange = True
            if not squash[j]:
                out[row, j] = value
                present += 1
                unknown = unknown or not known
            elif known:
                out[row, j] = _squashed(value, code[j], centre, scale)
                present += 1
            if known and settled:
                scale = _followed(value, centre, scale)
                at[s, j, _SCALE] = scale
                if code[j] == _LEVEL:
                    at[s, j, _CENTRE] = _moved(value, centre, scale)
            else:
                _begin(value, code[j], early[s, j], at[s, j])
        if present == width and not unknown:
            started[s] = True
        learn[row] = started[s] and present > 0 and not unknown and not infinite and not strange
        if learn[row]:
            counts[_LEARNT] += 1
        elif infinite:
            counts[_NOT_FINITE] += 1
        elif strange:
            counts[_WILD] += 1
        else:
            counts[_INCOMPLETE] += 1


class Guard:
    """Makes a model's inputs of raw ones, and decides which rows it may learn.

    A row is learnt unless an input is infinite or wild, or its scale is not known yet. An input
    that is missing (NaN) stays missing; the first row that is learnt has them all, so that a model
    which fixes its inputs with the first one sees the whole.

    Parameters
    ----------
    shapes
        How each input behaves.
    squash
        Which inputs are mapped into [0, 1].
    wild
        Scales from its centre beyond which an input is not learnt.

    Examples
    --------
    >>> guard = Guard(["positive"], [True], wild=1000.0)
    >>> guard.grow(1)
    >>> x = np.full((17, 1), 2.0)
    >>> x[16] = 1e9
    >>> inputs, learn = guard.step(np.zeros(17, np.int32), x)
    >>> inputs[14:, 0].round(6)
    array([nan, 0.5, 1. ])
    >>> learn[14:]
    array([False,  True, False])
    """

    def __init__(self, shapes: Sequence[Shape], squash: Sequence[bool], wild: float) -> None:
        self._code = np.array([_CODES[shape] for shape in shapes], np.int64)
        self._squash = np.array(squash, np.bool_)
        self._wild = float(wild)
        self._counts = np.zeros(len(COUNTERS), np.int64)
        self._arrays = SlotArrays(
            {
                "early": SlotColumn(np.float64, 0, (len(shapes), ENOUGH)),
                "at": SlotColumn(np.float64, 0, (len(shapes), 4)),
                "started": SlotColumn(np.bool_),
            }
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._arrays.grow(n_slots)

    def step(
        self, slot: NDArray[np.int32], x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """What the model gets, float64[m, k], and which rows it may learn, bool[m].

        Parameters
        ----------
        slot
            int32[m].
        x
            float64[m, k], raw inputs, NaN where missing.
        """
        out = np.empty_like(x)
        learn = np.empty(len(slot), np.bool_)
        a = self._arrays
        _guard_rows(
            slot,
            x,
            self._code,
            self._squash,
            self._wild,
            a["early"],
            a["at"],
            a["started"],
            self._counts,
            out,
            learn,
        )
        return out, learn

    def counters(self) -> dict[str, int]:
        """How many rows became what, by the names in `COUNTERS`."""
        return dict(zip(COUNTERS, self._counts.tolist(), strict=True))

    def state(self) -> State:
        """An exact copy of the state."""
        return {**self._arrays.state(), "counts": self._counts.copy()}

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        self._arrays.restore({name: array for name, array in state.items() if name != "counts"})
        self._counts = np.array(state["counts"], np.int64)
