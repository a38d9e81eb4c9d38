"""Calls of River's methods, with or without a target."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detectors.models.model import ModelError
from detectors.models.river_build import class_name, last_step, parts

_SCORING_CHANGES = "river.anomaly.pad.PredictiveAnomalyDetection"


@dataclass(frozen=True, slots=True)
class Calls:
    """How to call one model.

    Parameters
    ----------
    score_y, learn_y
        Whether `score_one` and `learn_one` take a target.
    in_steps
        Whether it is a pipeline, which does not itself pass the target on to its last step when scoring.
    pure
        Whether scoring is known not to change the model.
    """

    score_y: bool
    learn_y: bool
    in_steps: bool
    pure: bool

    def score(self, model: Any, x: Mapping[str, float], y: float) -> Any:
        """The model's score of one row."""
        if not self.score_y:
            return model.score_one(x)
        if self.in_steps:
            return last_step(model).score_one(model.transform_one(x), y)
        return model.score_one(x, y)

    def learn(self, model: Any, x: Mapping[str, float], y: float) -> None:
        """Let the model learn one row."""
        if self.learn_y:
            model.learn_one(x, y)
        else:
            model.learn_one(x)


def calls_of(model: Any, target: str | None) -> Calls:
    """Find out how to call a model.

    Raises
    ------
    ModelError
        When it needs a target and none is set, or takes none and one is set.
    """
    final = last_step(model)
    scorer = getattr(final, "_wrapped_model", final)
    calls = Calls(
        score_y="y" in inspect.signature(scorer.score_one).parameters,
        learn_y=_learns_y(model),
        in_steps=final is not model,
        pure=_is_pure(model),
    )
    if target is None and (calls.score_y or calls.learn_y):
        raise ModelError(f"{type(scorer).__name__} needs a target: the feature that it predicts", ("target",))
    if target is not None and not (calls.score_y or calls.learn_y):
        raise ModelError(f"{type(scorer).__name__} takes no target", ("target",))
    return calls


def _learns_y(model: Any) -> bool:
    supervised = getattr(model, "_supervised", None)
    if isinstance(supervised, bool):
        return supervised
    return "y" in inspect.signature(model.learn_one).parameters


def _is_pure(model: Any) -> bool:
    return all(
        class_name(part) != _SCORING_CHANGES
        and type(part).__module__.partition(".")[0]
        in {"river", "builtins", "collections", "random", "functools"}
        for part in parts(model)
    )
