"""Half-space trees on flat arrays, with the same scores as River's to the last bit.

The structure of the trees (which input a node looks at, and its threshold) is drawn from the seed as
River draws it, once; all instruments share it and differ only in how often each node was
visited. Every sum is one of whole numbers below 2**53, so no order of adding can change a score.

Only the leaves are kept. A node's visits are those of the leaves below it, so learning a row adds
one to a leaf of each tree; and what a row scores in a leaf, the sum over the nodes on the way to it,
stands still for a whole window, so scoring adds up one number of each tree. Both numbers of a leaf
lie in one cell: the score's in the high bits, the visits of the window that is filling in the low.

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
from detectors.models.params import IntegerParam, whole_numbers
from detectors.slot_arrays import SlotArrays, SlotColumn

_MARGIN = 0.15  # of a side, River's padding

PARAMS = {
    "n_trees": IntegerParam(10, 1, 200),
    "height": IntegerParam(8, 1, 12),
    "window_size": IntegerParam(250, 2, 1_000_000),
    "seed": IntegerParam(0, 0, 2**31 - 1),
}
"""River's own defaults, with a seed, which River leaves to chance."""

_NARROW = 0.1  # Tan et al.: a node seen in less than a tenth of the window is not split further.
_BLOCK = 64  # rows whose leaves are found before any is looked up, so that the look-ups overlap
_ONE = np.uint64(1)


@kernel
def _find_leaves(x, feature, threshold, height, nodes):  # type: ignore[no-untyped-def]
    # One level of all trees after the other: no tree waits for another one's comparison. A missing
    # value goes left here; such rows are walked again.
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
    # Only the low bits of the sum are wanted: whatever the high ones add up to, they cannot carry into
    # them, and the visits of a window fit.
    total = np.uint64(0)
    for cell in leaves[first:end]:
        total += np.uint64(cell)
    return total & counted


@kernel
def _leaf_with_gaps(x, feature, threshold, leaves, counted):  # type: ignore[no-untyped-def]
    # Where a value is missing the walk goes where more rows of this window went before.
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
    # The nodes of a tree in level order from 1: node n has children 2n and 2n + 1, and the leaves
    # come last. What a row will score in a leaf is summed up on the way down to it.
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
            above, way = path[width : 2 * width], path[2 * width : 4 * width]
            for node in range(width):
                scale = np.int64(level[node] >= least) << depth
                way[2 * node] = above[node] + below[2 * node] * scale
                way[2 * node + 1] = above[node] + below[2 * node + 1] * scale
            width, depth = 2 * width, depth + 1
        last = path[n:]
        for leaf in range(n):
            leaves[leaf] = np.uint64(last[leaf]) << shift


@kernel
def _step_rows(  # type: ignore[no-untyped-def]
    slot, x, learn, feature, threshold, height, window, shift, cells, seen, ready, score, status
):
    n_trees = feature.shape[0]
    highest = float(n_trees * window * (2 ** (height + 1) - 1))
    least = math.ceil(_NARROW * window)
    counted = (_ONE << shift) - _ONE
    block = np.empty((_BLOCK, n_trees), np.uint64)
    for row in range(slot.shape[0]):
        s, place = slot[row], row % _BLOCK
        if place == 0:
            _find_leaves(x[row : row + _BLOCK], feature, threshold, height, block)
        status[row] = READY if ready[s] else WARMING
        score[row] = np.nan
        missing = 0
        for j in range(x.shape[1]):
            missing += math.isnan(x[row, j])
        if missing == x.shape[1] and not learn[row]:
            continue
        if missing:
            _find_with_gaps(x[row], feature, threshold, cells[s], counted, block[place])
        one, mass = np.uint64(learn[row]), np.uint64(0)
        for tree in range(n_trees):
            leaf = block[place, tree]
            cell = np.uint64(cells[s, tree, leaf])
            mass += cell >> shift
            cells[s, tree, leaf] = cell + one
        if ready[s]:
            score[row] = 1.0 - float(mass) / highest
        seen[s] += learn[row]
        if seen[s] == window:
            _turn_window(cells[s], shift, least)
            seen[s], ready[s] = 0, True


class HalfSpaceTrees:
    """Half-space trees for every slot.

    Scores lie in [0, 1] and are high where few of the last window's rows were. Inputs lie in
    [0, 1]; a missing one (NaN) is to River an absent key: the walk goes where more went before.
    A row without any input that is not learnt has no score. Warming until the first window is full.

    Parameters
    ----------
    features
        Names of the inputs, which decide the trees as they do in River.
    n_trees, height, window_size, seed
        As in River; `seed` is never left to chance.

    Examples
    --------
    >>> model = HalfSpaceTrees(["a"], n_trees=5, height=3, window_size=3, seed=42)
    >>> model.grow(1)
    >>> x = np.array([[0.5], [0.45], [0.43], [0.44]])
    >>> score, status = np.empty(4), np.empty(4, np.int8)
    >>> model.step(np.zeros(4, np.int32), x, np.full(4, np.nan), np.ones(4, np.bool_), score, status)
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
        drawn = hashlib.sha256(self._feature.tobytes() + self._threshold.tobytes()).hexdigest()
        self.version = f"HalfSpaceTrees.2 {drawn[:12]}"
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
        """Make room for `n_slots` slots: 4 * n_trees * 2**height bytes each, 8 where windows are long."""
        self._arrays.grow(n_slots)

    def step(
        self,
        slot: NDArray[np.int32],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        learn: NDArray[np.bool_],
        score: NDArray[np.float64],
        status: NDArray[np.int8],
    ) -> None:
        """Score each row, then learn it; see `Model.step`."""
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

    def quarantined(self) -> Mapping[int, str]:
        """Nothing: this model cannot fail."""
        return {}

    def state(self) -> State:
        """An exact copy of the state."""
        return self._arrays.state()

    def restore(self, state: State) -> None:
        """Go on from a copy."""
        self._arrays.restore(state)


def build(settings: DetectorSettings) -> HalfSpaceTrees:
    """Half-space trees as configured.

    Raises
    ------
    ModelError
        For an unknown parameter or one out of its range.
    """
    return HalfSpaceTrees(settings.features, **whole_numbers(settings, PARAMS))


@lru_cache(maxsize=4)
def _structure(
    features: tuple[str, ...], n_trees: int, height: int, seed: int
) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """What River draws, in the order in which River draws it; loading River for that takes a second.

    It takes some ms, and is asked for by a configuration's check and by every task: nobody writes to it.
    """
    chance = Random(seed)  # noqa: S311 (River's own)
    names = sorted(range(len(features)), key=lambda index: features[index])
    feature = np.zeros((n_trees, 2**height - 1), np.uint16)
    threshold = np.zeros((n_trees, 2**height - 1))
    for tree in range(n_trees):
        space = dict.fromkeys(names, (0.0, 1.0))
        _split(chance, space, 0, feature[tree], threshold[tree])
    return feature, threshold


def _split(
    chance: Random,
    space: dict[int, tuple[float, float]],
    node: int,
    feature: NDArray[np.uint16],
    threshold: NDArray[np.float64],
) -> None:
    """Draw a node and those below it: an input by its side's length, a place not too near the ends."""
    if node >= len(feature):
        return
    [index] = chance.choices(list(space), [high - low for low, high in space.values()])
    low, high = space[index]
    margin = _MARGIN * (high - low)
    at = chance.uniform(low + margin, high - margin)
    feature[node], threshold[node] = index, at
    for child, side in ((2 * node + 1, (low, at)), (2 * node + 2, (at, high))):
        _split(chance, space | {index: side}, child, feature, threshold)
