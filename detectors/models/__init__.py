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
]

MODELS: Mapping[str, Factory] = MappingProxyType(
    {
        "HalfSpaceTrees": half_space_trees.build,
        "RobustZ": robust_z.build,
    }
)
"""Compiled models by name; any other name is a class to import."""


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
        if "." not in settings.model:
            close = difflib.get_close_matches(settings.model, MODELS, n=1)
            hint = (
                f" (did you mean {close[0]!r}?)"
                if close
                else f": there are {', '.join(MODELS)}, and import names such as river.anomaly.LODA"
            )
            raise ModelError(f"unknown model {settings.model!r}{hint}", ("model",))
    from detectors.models.river_adapter import RiverModel

    return RiverModel(settings)
