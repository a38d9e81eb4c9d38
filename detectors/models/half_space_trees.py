"""Half-space trees on flat arrays, with the same scores as River's to the last bit.

The structure of the trees (which input a node looks at, and its threshold) is drawn by River
itself from the seed, once; all instruments share it and differ only in how often each node was
visited. Every sum is one of whole numbers below 2**53, so no order of adding can change a score.

S. C. Tan, K. M. Ting and T. F. Liu, "Fast anomaly detection for streaming data", IJCAI 2011.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.columns import State
from detectors.models.contract import READY, WARMING
from detectors.models.params import Whole, whole_numbers
from detectors.settings import DetectorSettings
from detectors.slots import Column, SlotArrays

PARAMS = {
    "n_trees": Whole(10, 1, 200),
    "height": Whole(8, 1, 12),
    "window_size": Whole(250, 2, 1_000_000),
    "seed": Whole(0, 0, 2**31 - 1),
}
"""River's own defaults, with a seed, which River leaves to chance."""

_NARROW = 0.1  # Tan et al.: a node seen in less than a tenth of the window is not split further.


@njit(cache=True, nogil=True)
def _walk(feature, threshold, x, past, now, height, narrow, scored, learn):  # type: ignore[no-untyped-def]
    # The tree in level order: node n has children 2n + 1 and 2n + 2. One walk both scores and
    # learns, since learning counts a node only after its parent has chosen between its children.
    node = 0
    scale = 1.0
    mass = 0.0
    for _ in range(height):
        left = 2 * node + 1
        value = x[feature[node]]
        go_right = now[left] < now[left + 1] if np.isnan(value) else value >= threshold[node]
        if learn:
            now[node] += 1
        if scored:
            mass += past[node] * scale
            scored = past[node] >= narrow
            scale *= 2.0
        node = left + 1 if go_right else left
    if scored:
        mass += past[node] * scale
    if learn:
        now[node] += 1
    return mass


@njit(cache=True, nogil=True)
def _step_rows(  # type: ignore[no-untyped-def]
    slot, x, learn, feature, threshold, height, window, past, now, seen, ready, score, status
):
    n_trees = feature.shape[0]
    highest = float(n_trees * window * (2 ** (height + 1) - 1))
    narrow = _NARROW * window
    for row in range(slot.shape[0]):
        s = slot[row]
        mass = 0.0
        for tree in range(n_trees):
            mass += _walk(
                feature[tree],
                threshold[tree],
                x[row],
                past[s, tree],
                now[s, tree],
                height,
                narrow,
                ready[s],
                learn[row],
            )
        score[row] = 1.0 - mass / highest if ready[s] else np.nan
        status[row] = READY if ready[s] else WARMING
        if not learn[row]:
            continue
        seen[s] += 1
        if seen[s] == window:
            for tree in range(n_trees):
                for node in range(past.shape[2]):
                    past[s, tree, node] = now[s, tree, node]
                    now[s, tree, node] = 0
            seen[s] = 0
            ready[s] = True


class HalfSpaceTrees:
    """Half-space trees for every slot.

    Scores lie in [0, 1] and are high where few of the last window's rows were. Inputs lie in
    [0, 1]; a missing one (NaN) is to River an absent key: the walk goes where more went before.
    Warming until the first window is full.

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
        self._feature, self._threshold = _structure(features, n_trees, height, seed)
        drawn = hashlib.sha256(self._feature.tobytes() + self._threshold.tobytes()).hexdigest()
        self.version = f"HalfSpaceTrees.1 {drawn[:12]}"
        nodes = 2 ** (height + 1) - 1
        self._arrays = SlotArrays(
            {
                "past": Column(np.int32, 0, (n_trees, nodes)),
                "now": Column(np.int32, 0, (n_trees, nodes)),
                "seen": Column(np.int64),
                "ready": Column(np.bool_),
            }
        )

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots: 8 * n_trees * 2**(height + 1) bytes each."""
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
            a["past"],
            a["now"],
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


def _structure(
    features: Sequence[str], n_trees: int, height: int, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    from river.anomaly import HalfSpaceTrees as River

    drawn = River(n_trees=n_trees, height=height, seed=seed)
    drawn.learn_one(dict.fromkeys(features, 0.5))
    number = {name: index for index, name in enumerate(features)}
    feature = np.zeros((n_trees, 2**height - 1), np.int32)
    threshold = np.zeros((n_trees, 2**height - 1))
    for tree, root in enumerate(drawn.trees):
        level: list[Any] = [root]
        node = 0
        for _ in range(height):
            for branch in level:
                feature[tree, node] = number[branch.feature]
                threshold[tree, node] = branch.threshold
                node += 1
            level = [child for branch in level for child in branch.children]
    return feature, threshold
