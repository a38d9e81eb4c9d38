"""Parameters of the compiled models."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from detectors.detector_settings import DetectorSettings
from detectors.models.model import ModelError


@dataclass(frozen=True, slots=True)
class IntegerParam:
    """An integer parameter: its default and its range."""

    default: int
    low: int
    high: int


def integer_params(settings: DetectorSettings, allowed: Mapping[str, IntegerParam]) -> dict[str, int]:
    """The parameters of a compiled model, with defaults filled in.

    Raises
    ------
    ModelError
        For an unknown parameter, or a value out of its range.
    """
    for name in settings.params:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else f": there are {', '.join(allowed)}"
            raise ModelError(f"{settings.model} has no parameter {name!r}{hint}", ("params", name))
    if settings.target is not None:
        raise ModelError(f"{settings.model} takes no target", ("target",))
    if settings.warmup is not None:
        raise ModelError(f"{settings.model} has a fixed warm-up", ("warmup",))
    values = {name: settings.params.get(name, param.default) for name, param in allowed.items()}
    return {name: _integer(value, name, allowed[name]) for name, value in values.items()}


def _integer(value: object, name: str, param: IntegerParam) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not param.low <= value <= param.high:
        raise ModelError(f"{name} must be a whole number from {param.low} to {param.high}", ("params", name))
    return value
