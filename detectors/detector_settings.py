"""A detector's settings in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from detectors.event_columns import EventKind

WILD_BOUND = 1000.0
"""Default of `wild`, in multiples of an input's own running scale."""


def _as_tuple(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


class ModelStep(BaseModel):
    """One step of a pipeline of River models.

    Parameters
    ----------
    model
        Import name, such as ``river.preprocessing.StandardScaler``.
    params
        Arguments of its constructor. A value may itself be ``{model, params}``, or a list of those, which
        is a pipeline.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    params: dict[str, Any] = Field(default_factory=dict)


class DetectorSettings(BaseModel):
    """A detector: a model, its inputs, and the kinds of events it scores.

    Parameters
    ----------
    model
        The name of a compiled model (``HalfSpaceTrees``, ``RobustZ``), the import name of a River model or of
        your own class, or a list of those, which is a pipeline.
    on
        The kinds of events that are scored.
    features
        The model's inputs: names of features, or of numeric fields of the event.
    params
        Parameters of the model. `seed` is also passed to every part that takes a seed and has none.
    target
        The feature or field that a supervised model predicts (River's ``y``).
    wild
        A value farther than this many of its own running scales from its usual level is scored but never
        learnt.
    inputs
        ``squashed`` maps every input into [0, 1] by its own running scale, ``raw`` leaves them as they are.
        By default half-space trees get squashed inputs, every other model raw ones.
    warmup
        Events that a River model or your own class learns before its scores count; by default the model's own
        warm-up where it is known, else 100.

    Examples
    --------
    >>> tape = DetectorSettings(model="HalfSpaceTrees", features=["return_bps_10s"])
    >>> tape.on, tape.wild
    (('trade',), 1000.0)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | tuple[str | ModelStep, ...]
    on: Annotated[tuple[EventKind, ...], BeforeValidator(_as_tuple)] = ("trade",)
    features: tuple[str, ...] = Field(min_length=1)
    params: dict[str, Any] = Field(default_factory=dict)
    target: str | None = None
    wild: float = Field(default=WILD_BOUND, gt=1, allow_inf_nan=False)
    inputs: Literal["squashed", "raw"] | None = None
    warmup: int | None = Field(default=None, ge=1, le=1_000_000)

    @field_validator("model")
    @classmethod
    def _model_named(cls, model: str | tuple[str | ModelStep, ...]) -> str | tuple[str | ModelStep, ...]:
        if not model:
            raise ValueError("a model is needed, such as HalfSpaceTrees")
        return model

    @field_validator("on")
    @classmethod
    def _each_kind_once(cls, kinds: tuple[EventKind, ...]) -> tuple[EventKind, ...]:
        if not kinds:
            raise ValueError("at least one kind of event is needed, such as trade")
        return tuple(sorted(set(kinds)))

    @field_validator("features")
    @classmethod
    def _each_feature_once(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        for name in features:
            if features.count(name) > 1:
                raise ValueError(f"{name!r} is listed twice")
        return features

    @model_validator(mode="after")
    def _params_of_a_pipeline(self) -> DetectorSettings:
        if not isinstance(self.model, str) and set(self.params) - {"seed"}:
            raise ValueError("a pipeline takes only `seed` here: give each step its own params")
        return self

    @property
    def spec(self) -> Mapping[str, Any]:
        """Everything that determines the scores, as plain values."""
        return self.model_dump(mode="json")
