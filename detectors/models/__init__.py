"""Models by name. A new compiled model is a new file and a line here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from detectors.detector_settings import DetectorSettings
from detectors.models import half_space_trees, robust_z
from detectors.models.model import (
    QUARANTINED,
    READY,
    STATUS_NAMES,
    WARMING,
    Factory,
    Model,
    ModelError,
)
from detectors.models.model_failure import failure

__all__ = [
    "MODELS",
    "QUARANTINED",
    "READY",
    "STATUS_NAMES",
    "WARMING",
    "Factory",
    "Model",
    "ModelError",
    "build_model",
    "is_compiled",
]

MODELS: Mapping[str, Factory] = MappingProxyType(
    {
        "HalfSpaceTrees": half_space_trees.build,
        "RobustZ": robust_z.build,
    }
)
"""Compiled models by name; any other name is a class to import."""


def is_compiled(settings: DetectorSettings) -> bool:
    """Whether a detector's model is one of `MODELS`, or no import name: then no code but ours builds it.

    Examples
    --------
    >>> is_compiled(DetectorSettings(model="RobustZ", features=["price"]))
    True
    """
    return isinstance(settings.model, str) and (settings.model in MODELS or settings.model.isidentifier())


def build_model(settings: DetectorSettings) -> Model:
    """Build the model that a detector's settings name.

    Raises
    ------
    ModelError
        When no model has this name, or it cannot be built as configured; `path` names the setting at fault.

    Examples
    --------
    >>> build_model(DetectorSettings(model="HalfSpaceTree", features=["price"]))
    Traceback (most recent call last):
    detectors.models.model.ModelError: unknown model 'HalfSpaceTree' (did you mean 'HalfSpaceTrees'?)
    """
    if isinstance(settings.model, str):
        if settings.model in MODELS:
            return MODELS[settings.model](settings)
        if settings.model.isidentifier():
            close = difflib.get_close_matches(settings.model, MODELS, n=1)
            hint = (
                f" (did you mean {close[0]!r}?)"
                if close
                else f": there are {', '.join(MODELS)}, and import names such as river.anomaly.LODA"
            )
            raise ModelError(f"unknown model {settings.model!r}{hint}", ("model",))
    from detectors.models.river_adapter import RiverModel

    try:
        return RiverModel(settings)
    except ModelError:
        raise
    except BaseException as error:  # a class may raise anything, whatever it is asked
        raise ModelError(f"it cannot be used: {failure(error)}", ("model",)) from error
