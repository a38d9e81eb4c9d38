"""Between features and models: running scales, squashing into [0, 1], and which rows are learnt.

Each input of each instrument has its own scale, the running mean of its distance from its centre (zero, or a
running median for inputs around a level). It starts as the median of the first 15 distances, so that a wild
first value does no harm; after that, a distance counts as ten scales at most. A row is always judged by the
scale before it.

With d the distance from the centre and s the scale, a positive input becomes d / (d + s), any other one
1/2 + d / (2 (|d| + s)): monotone and bounded, one half at the usual value.
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

_GAIN = 1.0 / 500.0  # a scale adapts within some hundreds of events
_CLIP = 10.0
_LARGEST = 1e308

_SIGNED, _POSITIVE, _LEVEL = range(3)
_CODES: Mapping[Shape, int] = {"signed": _SIGNED, "positive": _POSITIVE, "level": _LEVEL}

COUNTERS = ("learnt", "wild", "not_finite", "incomplete")
"""Fates of rows: learnt, or not learnt because of a wild, a non-finite or a missing input."""
_LEARNT, _WILD, _NOT_FINITE, _INCOMPLETE = range(4)

_SEEN, _DISTANCES, _CENTRE, _SCALE = range(4)
"""Fields of an input: values seen, distances collected, its centre, its scale."""


@kernel
def _distance(value, centre):  # type: ignore[no-untyped-def]
    return min(abs(value - centre), _LARGEST)


@kernel
def _updated_scale(value, centre, scale):  # type: ignore[no-untyped-def]
    distance = _distance(value, centre)
    return scale + _GAIN * (min(distance, _CLIP * scale) - scale) if distance != 0.0 else scale


@kernel
def _updated_centre(value, centre, scale):  # type: ignore[no-untyped-def]
    if value > centre:
        return centre + _GAIN * scale
    return centre - _GAIN * scale if value < centre else centre


@kernel
def _learn_distance(value, early, at):  # type: ignore[no-untyped-def]
    distance, n_distances = _distance(value, at[_CENTRE]), int(at[_DISTANCES])
    if n_distances >= ENOUGH:
        at[_SCALE] = _updated_scale(value, at[_CENTRE], at[_SCALE])
    elif distance != 0.0:
        insert(early, n_distances, distance)
        at[_DISTANCES] += 1.0
        at[_SCALE] = middle(early, n_distances + 1)


@kernel
def _collect(value, code, early, at):  # type: ignore[no-untyped-def]
    # An input that has not collected its first values, or its first distances, yet.
    seen = int(at[_SEEN])
    if seen >= ENOUGH:
        _learn_distance(value, early, at)
        if code == _LEVEL:
            at[_CENTRE] = _updated_centre(value, at[_CENTRE], at[_SCALE])
        return
    insert(early, seen, value)
    at[_SEEN] += 1.0
    if seen + 1 == ENOUGH:
        if code == _LEVEL:
            at[_CENTRE] = middle(early, ENOUGH)
        first = early.copy()
        for i in range(ENOUGH):
            _learn_distance(first[i], early, at)


@kernel
def _squashed(value, code, centre, scale):  # type: ignore[no-untyped-def]
    distance = value - centre
    share = 0.0
    if distance != 0.0:
        share = 1.0 / (1.0 + scale / abs(distance))
    if code == _POSITIVE:
        return share if distance > 0.0 else 0.0
    return 0.5 + 0.5 * share if distance >= 0.0 else 0.5 - 0.5 * share


@kernel
def _guard_rows(slot, x, code, squash, wild, early, at, started, counts, out, learn):  # type: ignore[no-untyped-def]
    width = x.shape[1]
    for row in range(slot.shape[0]):
        s = slot[row]
        present = 0
        wild_input = False
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
            centre, scale, settled = at[s, j, _CENTRE], at[s, j, _SCALE], at[s, j, _DISTANCES] >= ENOUGH
            if settled and abs(value - centre) > wild * scale:
                wild_input = True
            if not squash[j]:
                out[row, j] = value
                present += 1
                unknown = unknown or not known
            elif known:
                out[row, j] = _squashed(value, code[j], centre, scale)
                present += 1
            if known and settled:
                scale = _updated_scale(value, centre, scale)
                at[s, j, _SCALE] = scale
                if code[j] == _LEVEL:
                    at[s, j, _CENTRE] = _updated_centre(value, centre, scale)
            else:
                _collect(value, code[j], early[s, j], at[s, j])
        if present == width and not unknown:
            started[s] = True
        learn[row] = started[s] and present > 0 and not unknown and not infinite and not wild_input
        if learn[row]:
            counts[_LEARNT] += 1
        elif infinite:
            counts[_NOT_FINITE] += 1
        elif wild_input:
            counts[_WILD] += 1
        else:
            counts[_INCOMPLETE] += 1


class Guard:
    """Prepares a model's inputs from raw ones, and decides which rows it may learn.

    A row is learnt unless an input is infinite or wild, or its scale is not known yet. A missing input (NaN)
    stays missing, except that the first row learnt has all inputs, for models that fix their inputs with it.

    Parameters
    ----------
    shapes
        How each input is distributed.
    squash
        Which inputs are mapped into [0, 1].
    wild
        Distance from its centre, in scales, beyond which an input is not learnt.

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
        """Prepare the model's inputs, float64[m, k], and decide which rows it may learn, bool[m].

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

    def rebase(self, slot: int, to: int) -> None:
        """Nothing: scales have no times."""

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row; its rows stay counted."""
        self._arrays.forget(slot)

    def counters(self) -> dict[str, int]:
        """Rows by fate, as named in `COUNTERS`."""
        return dict(zip(COUNTERS, self._counts.tolist(), strict=True))

    def state(self) -> State:
        """An exact copy of the state."""
        return {**self._arrays.state(), "counts": self._counts.copy()}

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        self._arrays.restore({name: array for name, array in state.items() if name != "counts"})
        self._counts = np.array(state["counts"], np.int64)
