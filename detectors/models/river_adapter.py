"""Any River model, or any class with `score_one` and `learn_one`, one instance for each slot."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import pickle
import sys
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.detector_settings import DetectorSettings
from detectors.event_columns import State
from detectors.models.model import QUARANTINED, READY, WARMING
from detectors.models.river_build import build as build_model
from detectors.models.river_build import class_name, parts
from detectors.models.river_calls import calls_of, failure
from detectors.models.river_trial import tried
from detectors.slot_arrays import SlotArrays, SlotColumn, StateMismatchError

WARMUP = 100
"""Learnt rows before a score counts, unless set or known of the model."""

# What these classes themselves say they need before their scores mean anything.
_OWN_WARMUP = {
    "river.anomaly.hst.HalfSpaceTrees": "window_size",
    "river.anomaly.gaussian.GaussianScorer": "grace_period",
    "river.anomaly.pad.PredictiveAnomalyDetection": "warmup_period",
}
# These take a missing input as an absent key; any other model is not shown a row that is not whole.
_TAKES_ABSENT = frozenset({"river.anomaly.hst.HalfSpaceTrees"})


class _NotFiniteError(ValueError):
    """A score that is no finite number."""


class RiverModel:
    """A River model for every slot: each row is scored, then learnt, one by one.

    A model that raises, panics or gives something other than a finite number on a row that it may
    learn is quarantined for its slot, with the reason; the other slots go on. What its scoring does
    while it is warming is forgiven, since many a model cannot score before it has learnt enough, and
    one that has learnt nothing at all is not asked. Rows that may not be learnt leave no trace:
    where scoring could change the model, a copy is asked.

    Parameters
    ----------
    settings
        The detector's settings.

    Raises
    ------
    ModelError
        When the model cannot be made, or cannot be made deterministic.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        model = build_model(settings)
        self._features = settings.features
        self._calls = calls_of(model, settings.target)
        self._blob = pickle.dumps(model)
        tried(self._blob, self._features, self._calls)
        self._absent = class_name(model) in _TAKES_ABSENT
        self._warmup = settings.warmup or _own_warmup(model) or WARMUP
        self.version = _version(model)
        self._models: list[Any] = []
        self._reasons: dict[int, str] = {}
        self._arrays = SlotArrays({"learnt": SlotColumn(np.int64), "status": SlotColumn(np.int8, WARMING)})

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots; a slot's model is made with its first row."""
        self._arrays.grow(n_slots)
        self._models.extend([None] * (n_slots - len(self._models)))

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
        rows = zip(slot.tolist(), x.tolist(), y.tolist(), learn.tolist(), strict=True)
        kept = self._arrays["status"]
        for row, (s, inputs, target, may_learn) in enumerate(rows):
            score[row] = math.nan
            status[row] = kept[s]
            if kept[s] == QUARANTINED:
                continue
            given = {name: v for name, v in zip(self._features, inputs, strict=True) if math.isfinite(v)}
            if not self._is_whole(given, target):
                continue
            said = self._row(s, given, target, may_learn)
            status[row] = QUARANTINED if s in self._reasons else status[row]
            if status[row] == READY:
                score[row] = said

    def _is_whole(self, given: Mapping[str, float], target: float) -> bool:
        if (self._calls.score_y or self._calls.learn_y) and not math.isfinite(target):
            return False
        if self._absent:
            return bool(given)
        return len(given) == len(self._features)

    def _row(self, s: int, given: dict[str, float], target: float, may_learn: bool) -> float:
        model = self._models[s]
        if model is None:
            model = self._models[s] = pickle.loads(self._blob)  # noqa: S301  # our own bytes
        if not may_learn:
            return self._only_score(model, given, target)
        learnt = self._arrays["learnt"]
        number = math.nan
        try:
            if learnt[s] > 0:
                number = self._said(s, model, given, target)
            self._calls.learn(model, given, target)
        except _NotFiniteError as error:
            return self._quarantine(s, str(error))
        except BaseException as error:  # noqa: BLE001  # failure() lets through what is not the model's
            return self._quarantine(s, failure(error))
        learnt[s] += 1
        if learnt[s] == self._warmup:
            self._arrays["status"][s] = READY
        return number

    def _said(self, s: int, model: Any, given: dict[str, float], target: float) -> float:
        ready = self._arrays["status"][s] == READY
        try:
            said = self._calls.score(model, given, target)
        except BaseException as error:
            if ready:
                raise
            failure(error)
            return math.nan
        number = _finite(said)
        if math.isnan(number) and ready:
            raise _NotFiniteError(f"score_one gave {repr(said)[:100]}")
        return number

    def _only_score(self, model: Any, given: dict[str, float], target: float) -> float:
        try:
            asked = model if self._calls.pure else pickle.loads(pickle.dumps(model))  # noqa: S301  # our own
            return _finite(self._calls.score(asked, given, target))
        except BaseException as error:  # noqa: BLE001  # failure() lets through what is not the model's
            failure(error)
            return math.nan

    def _quarantine(self, s: int, reason: str) -> float:
        self._models[s] = None
        self._reasons[s] = reason
        self._arrays["status"][s] = QUARANTINED
        return math.nan

    def quarantined(self) -> Mapping[int, str]:
        """Why each quarantined slot is, by slot."""
        return dict(sorted(self._reasons.items()))

    def state(self) -> State:
        """An exact copy of the state: each slot's model as a pickle."""
        pickles = [b"" if model is None else pickle.dumps(model) for model in self._models]
        return {
            **self._arrays.state(),
            "lengths": np.array([len(blob) for blob in pickles], np.int64),
            "pickles": np.frombuffer(b"".join(pickles), np.uint8).copy(),
            "reasons": np.frombuffer(json.dumps(self._reasons, sort_keys=True).encode(), np.uint8).copy(),
        }

    def restore(self, state: State) -> None:
        """Go on from a copy.

        Raises
        ------
        KeyError, StateMismatchError
            When the copy is not whole.
        """
        ends = np.cumsum(state["lengths"].astype(np.int64)).tolist()
        blobs = state["pickles"].tobytes()
        if len(ends) != len(state["learnt"]) or (ends[-1] if ends else 0) != len(blobs):
            raise StateMismatchError("the models' pickles are not whole")
        self._arrays.restore({"learnt": state["learnt"], "status": state["status"]})
        starts = [0, *ends[:-1]]
        self._models = [
            pickle.loads(blobs[start:end]) if end > start else None  # noqa: S301  # our own checkpoint
            for start, end in zip(starts, ends, strict=True)
        ]
        self.grow(self._arrays.n_slots)
        reasons = json.loads(state["reasons"].tobytes())
        self._reasons = {int(s): str(reason) for s, reason in reasons.items()}


def build(settings: DetectorSettings) -> RiverModel:
    """A River model as configured; see `RiverModel`."""
    return RiverModel(settings)


def _finite(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, Real):
        return math.nan
    number = float(said)
    return number if math.isfinite(number) else math.nan


def _own_warmup(model: Any) -> int:
    claims = (
        getattr(part, _OWN_WARMUP[class_name(part)])
        for part in parts(model)
        if class_name(part) in _OWN_WARMUP
    )
    return max(claims, default=0)


def _version(model: Any) -> str:
    import river

    own = sorted({type(part) for part in parts(model) if _is_users(part)}, key=lambda cls: cls.__qualname__)
    digest = hashlib.sha256()
    for cls in own:
        digest.update(_source(cls).encode())
    return f"river {river.__version__}" + (f" with {digest.hexdigest()[:12]}" if own else "")


def _is_users(part: object) -> bool:
    root = type(part).__module__.partition(".")[0]
    return root not in {"river", "builtins", "numpy", "scipy"} and root not in sys.stdlib_module_names


def _source(cls: type) -> str:
    try:
        return inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):
        return f"{cls.__module__}.{cls.__qualname__}"
