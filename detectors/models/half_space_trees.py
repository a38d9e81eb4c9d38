"""Half-space trees on flat arrays, with the same scores as River's to the last bit.

The structure of the trees (each node's input and threshold) is drawn once from the seed, as River draws it;
all instruments share it and differ only in how often each node was visited. Every sum is of integers below
2**53, so the order of additions cannot change a score.

Only leaves are stored. A node's visits are those of the leaves below it, so learning a row adds one to a leaf
of each tree; and a leaf's score, the sum over the nodes on the path to it, is constant within a window, so
scoring adds up one number per tree. Both numbers of a leaf are packed into one integer: the score in the high
bits, the visits of the current window in the low bits.

S. C. Tan, K. M. Ting and T. F. Liu, "Fast anomaly detection for streaming data", IJCAI 2011.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from detectors.detector_settings import DetectorSettings
from detectors.event_columns import State
from detectors.kernels import kernel
from detectors.models.model import READY, WARMING
from detectors.models.params import IntegerParam, integer_params
from detectors.slot_arrays import SlotArrays, SlotColumn

_MARGIN = 0.15  # of a side, River's padding

PARAMS = {
    "n_trees": IntegerParam(10, 1, 200),
    "height": IntegerParam(8, 1, 12),
    "window_size": IntegerParam(250, 2, 1_000_000),
    "seed": IntegerParam(0, 0, 2**31 - 1),
}
"""River's own defaults, and a fixed seed where River's is random."""

_NARROW = 0.1  # Tan et al.: nodes below one with less than a tenth of the window's rows do not count
_BLOCK = 64  # rows whose leaves are found before any is read, so that memory accesses overlap
_ONE = np.uint64(1)


@kernel
def _find_leaves(x, feature, threshold, height, nodes):  # type: ignore[no-untyped-def]
    # Level by level over all trees, so that comparisons of different trees overlap. A missing value goes left
    # here; `_find_with_gaps` redoes such rows.
    n_trees, width = feature.shape
    features = feature.reshape(n_trees * width)
    thresholds = threshold.reshape(n_trees * width)
    for row in range(x.shape[0]):
        values, node = x[row], nodes[row]
        for tree in range(n_trees):
            node[tree] = 0
        for _ in range(height):
            for tree in range(n_trees):
                at = np.uint64(tree * width) + node[tree]
                right = np.uint64(values[features[at]] >= thresholds[at])
                node[tree] += node[tree] + _ONE + right
        for tree in range(n_trees):
            node[tree] -= np.uint64(width)


@kernel
def _visits(leaves, first, end, counted):  # type: ignore[no-untyped-def]
    # Only the low bits of the sum count: the high bits cannot carry into them, and a window's visits fit.
    total = np.uint64(0)
    for packed in leaves[first:end]:
        total += np.uint64(packed)
    return total & counted


@kernel
def _leaf_with_gaps(x, feature, threshold, leaves, counted):  # type: ignore[no-untyped-def]
    # Where a value is missing, descend to the side that more rows of this window went to.
    node, first, end = 0, 0, leaves.shape[0]
    known, total = False, np.uint64(0)
    while end - first > 1:
        middle = (first + end) // 2
        value = x[feature[node]]
        if math.isnan(value):
            if not known:
                known, total = True, _visits(leaves, first, end, counted)
            left = _visits(leaves, first, middle, counted)
            go_right = left < total - left
            total = total - left if go_right else left
        else:
            go_right = value >= threshold[node]
            known = False
        first, end = (middle, end) if go_right else (first, middle)
        node = 2 * node + 2 if go_right else 2 * node + 1
    return np.uint64(first)


@kernel
def _find_with_gaps(x, feature, threshold, trees, counted, nodes):  # type: ignore[no-untyped-def]
    for tree in range(trees.shape[0]):
        nodes[tree] = _leaf_with_gaps(x, feature[tree], threshold[tree], trees[tree], counted)


@kernel
def _turn_window(trees, shift, least):  # type: ignore[no-untyped-def]
    # Nodes of a tree in level order from 1: node n has children 2n and 2n + 1, and the leaves come last. A
    # leaf's score is summed on the path down to it.
    n = trees.shape[1]
    mass, path = np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    counted = (_ONE << shift) - _ONE
    for tree in range(trees.shape[0]):
        leaves, last = trees[tree], mass[n:]
        for leaf in range(n):
            last[leaf] = np.int64(np.uint64(leaves[leaf]) & counted)
        width = n // 2
        while width > 0:
            level, below = mass[width : 2 * width], mass[2 * width : 4 * width]
            for node in range(width):
                level[node] = below[2 * node] + below[2 * node + 1]
            width //= 2
        path[1], width, depth = mass[1], 1, 1
        while width < n:
            level, below = mass[width : 2 * width], mass[2 * width : 4 * width]
            level_path, below_path = path[width : 2 * width], path[2 * width : 4 * width]
            for node in range(width):
                scale = np.int64(level[node] >= least) << depth
                below_path[2 * node] = level_path[node] + below[2 * node] * scale
                below_path[2 * node + 1] = level_path[node] + below[2 * node + 1] * scale
            width, depth = 2 * width, depth + 1
        last = path[n:]
        for leaf in range(n):
            leaves[leaf] = np.uint64(last[leaf]) << shift


@kernel
def _step_rows(  # type: ignore[no-untyped-def]
    slot, x, learn, feature, threshold, height, window, shift, leaves, seen, ready, score, status
):
    n_trees = feature.shape[0]
    highest = float(n_trees * window * (2 ** (height + 1) - 1))
    least = math.ceil(_NARROW * window)
    counted = (_ONE << shift) - _ONE
    block = np.empty((_BLOCK, n_trees), np.uint64)
    for row in range(slot.shape[0]):
        s, position = slot[row], row % _BLOCK
        if position == 0:
            _find_leaves(x[row : row + _BLOCK], feature, threshold, height, block)
        status[row] = READY if ready[s] else WARMING
        score[row] = np.nan
        missing = 0
        for j in range(x.shape[1]):
            missing += math.isnan(x[row, j])
        if missing == x.shape[1] and not learn[row]:
            continue
        if missing:
            _find_with_gaps(x[row], feature, threshold, leaves[s], counted, block[position])
        one, mass = np.uint64(learn[row]), np.uint64(0)
        for tree in range(n_trees):
            leaf = block[position, tree]
            packed = np.uint64(leaves[s, tree, leaf])
            mass += packed >> shift
            leaves[s, tree, leaf] = packed + one
        if ready[s]:
            score[row] = 1.0 - float(mass) / highest
        seen[s] += learn[row]
        if seen[s] == window:
            _turn_window(leaves[s], shift, least)
            seen[s], ready[s] = 0, True


class HalfSpaceTrees:
    """Half-space trees for every slot.

    Scores lie in [0, 1] and are high where few of the last window's rows were. Inputs lie in [0, 1]; a
    missing one (NaN) is an absent key to River: the descent goes where more rows went. A row without any
    input that is not learnt has no score. A slot is warming until its first window is full.

    Parameters
    ----------
    features
        Names of the inputs, which decide the trees as they do in River.
    n_trees, height, window_size, seed
        As in River, except that `seed` is never random.

    Examples
    --------
    >>> model = HalfSpaceTrees(["a"], n_trees=5, height=3, window_size=3, seed=42)
    >>> model.grow(1)
    >>> x = np.array([[0.5], [0.45], [0.43], [0.44]])
    >>> score, status = model.step(np.zeros(4, np.int32), x, np.full(4, np.nan), np.ones(4, np.bool_))
    >>> status
    array([0, 0, 0, 1], dtype=int8)
    >>> round(float(score[3]), 3)
    0.107
    """

    def __init__(
        self,
        features: Sequence[str],
        n_trees: int = 10,
        height: int = 8,
        window_size: int = 250,
        seed: int = 0,
    ) -> None:
        self._height = height
        self._window_size = window_size
        self._feature, self._threshold = _structure(tuple(features), n_trees, height, seed)
        digest = hashlib.sha256(self._feature.tobytes() + self._threshold.tobytes()).hexdigest()
        self.version = f"HalfSpaceTrees.2 {digest[:12]}"
        self._shift = np.uint64(window_size.bit_length())
        highest = window_size * (2 ** (height + 1) - 1)
        narrow = window_size.bit_length() + highest.bit_length() <= 32
        self._arrays = SlotArrays(
            {
                "cells": SlotColumn(np.uint32 if narrow else np.uint64, 0, (n_trees, 2**height)),
                "seen": SlotColumn(np.int64),
                "ready": SlotColumn(np.bool_),
            }
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots of 4 * n_trees * 2**height bytes, or 8 * ... if windows are long."""
        self._arrays.grow(n_slots)

    def step(
        self,
        slot: NDArray[np.int32],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        learn: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Score each row, then learn it; see `Model.step`."""
        score, status = np.empty(len(slot)), np.empty(len(slot), np.int8)
        a = self._arrays
        _step_rows(
            slot,
            x,
            learn,
            self._feature,
            self._threshold,
            self._height,
            self._window_size,
            self._shift,
            a["cells"],
            a["seen"],
            a["ready"],
            score,
            status,
        )
        return score, status

    def rebase(self, slot: int, to: int) -> None:
        """Nothing: windows are counted in rows."""

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row."""
        self._arrays.forget(slot)

    def quarantined(self) -> Mapping[int, str]:
        """Always empty: this model cannot fail."""
        return {}

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Continue from a copy."""
        self._arrays.restore(state)


def build(settings: DetectorSettings) -> HalfSpaceTrees:
    """Build half-space trees as configured.

    Raises
    ------
    ModelError
        For an unknown parameter or one out of its range.
    """
    return HalfSpaceTrees(settings.features, **integer_params(settings, PARAMS))


@lru_cache(maxsize=4)
def _structure(
    features: tuple[str, ...], n_trees: int, height: int, seed: int
) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """Draw the structure that River draws, in the same order, without importing River, which takes a second.

    Cached, as it takes some milliseconds and is needed by a configuration's check and by every task; callers
    must not write to it.
    """
    generator = Random(seed)  # noqa: S311 (as River draws)
    names = sorted(range(len(features)), key=lambda index: features[index])
    feature = np.zeros((n_trees, 2**height - 1), np.uint16)
    threshold = np.zeros((n_trees, 2**height - 1))
    for tree in range(n_trees):
        space = dict.fromkeys(names, (0.0, 1.0))
        _split(generator, space, 0, feature[tree], threshold[tree])
    return feature, threshold


def _split(
    generator: Random,
    space: dict[int, tuple[float, float]],
    node: int,
    feature: NDArray[np.uint16],
    threshold: NDArray[np.float64],
) -> None:
    """Draw a node and those below it: an input weighted by its side's length, a threshold within it."""
    if node >= len(feature):
        return
    [index] = generator.choices(list(space), [high - low for low, high in space.values()])
    low, high = space[index]
    margin = _MARGIN * (high - low)
    at = generator.uniform(low + margin, high - margin)
    feature[node], threshold[node] = index, at
    for child, side in ((2 * node + 1, (low, at)), (2 * node + 2, (at, high))):
        _split(generator, space | {index: side}, child, feature, threshold)
