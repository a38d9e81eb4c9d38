"""Adapter for River models, and for any class with `score_one` and `learn_one`: one instance per slot."""

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
from detectors.models.model import QUARANTINED, READY, WARMING, ModelStateError
from detectors.models.model_failure import failure, printable
from detectors.models.pickle_arena import PickleArena, pickles_in
from detectors.models.river_build import build as build_model
from detectors.models.river_build import class_name, parts
from detectors.models.river_calls import calls_of
from detectors.models.river_trial import check_by_trial
from detectors.slot_arrays import SlotArrays, SlotColumn, StateMismatchError, is_lending
from detectors.work_watch import work_watch

WARMUP = 100
"""Learnt rows before a score counts, unless it is set or the model has its own warm-up."""

# Parameters that hold these classes' own warm-up.
_OWN_WARMUP = {
    "river.anomaly.hst.HalfSpaceTrees": "window_size",
    "river.anomaly.gaussian.GaussianScorer": "grace_period",
    "river.anomaly.pad.PredictiveAnomalyDetection": "warmup_period",
}
# These take a missing input as an absent key; any other model skips rows with a missing input.
_TAKES_ABSENT = frozenset({"river.anomaly.hst.HalfSpaceTrees"})


class _NotFiniteError(ValueError):
    """A score that is not a finite number."""


class RiverModel:
    """A River model for every slot: each row is scored, then learnt, one by one.

    A slot whose model raises, panics or gives a score that is not a finite number, on a row that may be
    learnt, is quarantined with the reason; other slots continue. While a model is warming its scoring may
    fail, since many models cannot score before they have learnt enough; it is not called before the first
    row is learnt. Rows that may not be learnt leave no trace: if scoring could change the model, a copy is
    scored.

    Parameters
    ----------
    settings
        The detector's settings.

    Raises
    ------
    ModelError
        When the model cannot be built, or is not deterministic.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        model = build_model(settings)
        self._features = settings.features
        self._calls = calls_of(model, settings.target)
        self._pickled = pickle.dumps(model)
        self.first_failure = check_by_trial(self._pickled, self._features, self._calls)
        """Why it could not learn even the first of a few made-up rows, None where it could."""
        self._absent = class_name(model) in _TAKES_ABSENT
        self._warmup = settings.warmup or _own_warmup(model) or WARMUP
        self.version = _version(model)
        self._models: list[Any] = []
        self._reasons: dict[int, str] = {}
        self._arena = PickleArena()
        self._arrays = SlotArrays({"learnt": SlotColumn(np.int64), "status": SlotColumn(np.int8, WARMING)})

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots; a slot's model is created with its first row."""
        self._arrays.grow(n_slots)
        self._models.extend([None] * (n_slots - len(self._models)))

    def step(
        self,
        slot: NDArray[np.int32],
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        learn: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Score each row, then learn it; see `Model.step`."""
        score, status = np.full(len(slot), np.nan), np.empty(len(slot), np.int8)
        rows = zip(slot.tolist(), x.tolist(), y.tolist(), learn.tolist(), strict=True)
        statuses = self._arrays["status"]
        returned = work_watch().mark
        for row, (s, inputs, target, may_learn) in enumerate(rows):
            status[row] = statuses[s]
            if statuses[s] == QUARANTINED:
                continue
            present = {name: v for name, v in zip(self._features, inputs, strict=True) if math.isfinite(v)}
            if not self._is_complete(present, target):
                continue
            number = self._row(s, present, target, may_learn)
            returned()
            status[row] = QUARANTINED if s in self._reasons else status[row]
            if status[row] == READY:
                score[row] = number
        return score, status

    def _is_complete(self, present: Mapping[str, float], target: float) -> bool:
        if (self._calls.score_y or self._calls.learn_y) and not math.isfinite(target):
            return False
        if self._absent:
            return bool(present)
        return len(present) == len(self._features)

    def _row(self, s: int, x: dict[str, float], target: float, may_learn: bool) -> float:
        model = self._models[s]
        self._arena.touch(s)
        if model is None:
            try:
                model = self._models[s] = pickle.loads(self._pickled)  # noqa: S301  # our own bytes
            except BaseException as error:  # noqa: BLE001  # failure() re-raises what is not the model's
                return self._quarantine(s, f"it cannot be copied for this instrument: {failure(error)}")
        if not may_learn:
            return self._only_score(model, x, target)
        learnt = self._arrays["learnt"]
        number = math.nan
        try:
            if learnt[s] > 0:
                number = self._score(s, model, x, target)
            self._calls.learn(model, x, target)
        except _NotFiniteError as error:
            return self._quarantine(s, str(error))
        except BaseException as error:  # noqa: BLE001  # failure() re-raises what is not the model's
            return self._quarantine(s, failure(error))
        learnt[s] += 1
        if learnt[s] == self._warmup:
            self._arrays["status"][s] = READY
        return number

    def _score(self, s: int, model: Any, x: dict[str, float], target: float) -> float:
        ready = self._arrays["status"][s] == READY
        try:
            result = self._calls.score(model, x, target)
        except BaseException as error:
            if ready:
                raise
            failure(error)
            return math.nan
        number = _finite(result)
        if math.isnan(number) and ready:
            raise _NotFiniteError(f"score_one gave {printable(repr(result)[:100])}")
        return number

    def _only_score(self, model: Any, x: dict[str, float], target: float) -> float:
        try:
            scored_model = model if self._calls.pure else pickle.loads(pickle.dumps(model))  # noqa: S301  # our own
            return _finite(self._calls.score(scored_model, x, target))
        except BaseException as error:  # noqa: BLE001  # failure() re-raises what is not the model's
            failure(error)
            return math.nan

    def _quarantine(self, s: int, reason: str) -> float:
        self._models[s] = None
        self._arena.touch(s)
        self._reasons[s] = reason
        self._arrays["status"][s] = QUARANTINED
        return math.nan

    def rebase(self, slot: int, to: int) -> None:
        """Nothing: models are given inputs, never times."""

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row: its model is dropped."""
        self._arena.touch(slot)
        self._models[slot] = None
        self._reasons.pop(slot, None)
        self._arrays.forget(slot)

    def quarantined(self) -> Mapping[int, str]:
        """The reason for each quarantined slot."""
        return dict(sorted(self._reasons.items()))

    def state(self) -> State:
        """An exact copy of the state, with each slot's model as a pickle.

        What is lent (`detectors.slot_arrays.lending`) pickles only models that had rows since the last time,
        and leaves the other pickles where they were.
        """
        reasons = np.frombuffer(json.dumps(self._reasons, sort_keys=True).encode(), np.uint8).copy()
        if is_lending():
            self._arena.update(self._models, _pickled)
            return {**self._arrays.state(), **self._arena.state(), "reasons": reasons}
        pickles = [b"" if model is None else _pickled(model) for model in self._models]
        return {
            **self._arrays.state(),
            "lengths": np.array([len(blob) for blob in pickles], np.int64),
            "pickles": np.frombuffer(b"".join(pickles), np.uint8).copy(),
            "reasons": reasons,
        }

    def restore(self, state: State) -> None:
        """Continue from a copy.

        Raises
        ------
        KeyError, StateMismatchError
            When the copy is incomplete.
        """
        pickles = pickles_in(state)
        if len(pickles) != len(state["learnt"]):
            raise StateMismatchError("the models' pickles are incomplete")
        self._arrays.restore({"learnt": state["learnt"], "status": state["status"]})
        reasons = json.loads(state["reasons"].tobytes())
        self._reasons = {int(s): printable(str(reason)) for s, reason in reasons.items()}
        self._models, self._arena = [None] * len(pickles), PickleArena.of(state)
        self.grow(self._arrays.n_slots)
        for s, blob in enumerate(pickles):
            if len(blob):
                self._load(s, blob.tobytes())

    def _load(self, s: int, blob: bytes) -> None:
        try:
            self._models[s] = pickle.loads(blob)  # noqa: S301  # our own checkpoint
        except BaseException as error:  # noqa: BLE001  # failure() re-raises what is not the model's
            self._quarantine(s, f"what it had learnt cannot be loaded: {failure(error)}")
        work_watch().mark()


def _pickled(model: Any) -> bytes:
    try:
        blob = pickle.dumps(model)
    except MemoryError:
        raise
    except BaseException as error:  # noqa: BLE001  # failure() re-raises what is not the model's
        reason = f"what its model has learnt cannot be pickled: {failure(error)}"
        raise ModelStateError(reason) from None
    work_watch().mark()
    return blob


def _finite(result: object) -> float:
    if isinstance(result, bool) or not isinstance(result, Real):
        return math.nan
    number = float(result)
    return number if math.isfinite(number) else math.nan


def _own_warmup(model: Any) -> int:
    warmups = (
        getattr(part, _OWN_WARMUP[class_name(part)])
        for part in parts(model)
        if class_name(part) in _OWN_WARMUP
    )
    return max(warmups, default=0)


def _version(model: Any) -> str:
    import river

    users_classes = sorted(
        {type(part) for part in parts(model) if _is_users_own(part)}, key=lambda cls: cls.__qualname__
    )
    digest = hashlib.sha256()
    for cls in users_classes:
        digest.update(_source(cls).encode())
    return f"river {river.__version__}" + (f" with {digest.hexdigest()[:12]}" if users_classes else "")


def _is_users_own(part: object) -> bool:
    root = type(part).__module__.partition(".")[0]
    return root not in {"river", "builtins", "numpy", "scipy"} and root not in sys.stdlib_module_names


def _source(cls: type) -> str:
    try:
        return inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):
        return f"{cls.__module__}.{cls.__qualname__}"
