"""Parameters of the compiled models."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from detectors.detector_settings import DetectorSettings
from detectors.models.model import ModelError


@dataclass(frozen=True, slots=True)
class IntegerParam:
    """A whole-number parameter: what it is unless set, and the range it may have."""

    default: int
    low: int
    high: int


def whole_numbers(settings: DetectorSettings, allowed: Mapping[str, IntegerParam]) -> dict[str, int]:
    """The parameters of a compiled model, all set.

    Raises
    ------
    ModelError
        For a parameter that there is not, or a value out of its range.
    """
    for name in settings.params:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else f": there are {', '.join(allowed)}"
            raise ModelError(f"{settings.model} has no parameter {name!r}{hint}", ("params", name))
    if settings.target is not None:
        raise ModelError(f"{settings.model} takes no target", ("target",))
    if settings.warmup is not None:
        raise ModelError(f"{settings.model} knows its own warm-up", ("warmup",))
    return {name: _whole(settings.params.get(name, at.default), name, at) for name, at in allowed.items()}


def _whole(value: object, name: str, at: IntegerParam) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not at.low <= value <= at.high:
        raise ModelError(f"{name} must be a whole number from {at.low} to {at.high}", ("params", name))
    return value
