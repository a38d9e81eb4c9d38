"""Which scores a model can give, where that is known from its name alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from detectors.detector_settings import DetectorSettings, ModelStep

_UNIT = (0.0, 1.0)
_POSITIVE = (0.0, math.inf)
_ANY = (-math.inf, math.inf)

SCORE_RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "HalfSpaceTrees": _UNIT,
        "RobustZ": (0.0, 1e6),
        "river.anomaly.HalfSpaceTrees": _UNIT,
        "river.anomaly.GaussianScorer": _UNIT,
        "river.anomaly.PredictiveAnomalyDetection": _UNIT,
        "river.anomaly.LocalOutlierFactor": _POSITIVE,
        "river.anomaly.StandardAbsoluteDeviation": _POSITIVE,
    }
)
"""The least and the highest score by model."""


def score_range(settings: DetectorSettings) -> tuple[float, float]:
    """The least and the highest score of a detector, infinite where they are not known.

    Examples
    --------
    >>> score_range(DetectorSettings(model="HalfSpaceTrees", features=["price"]))
    (0.0, 1.0)
    >>> score_range(DetectorSettings(model="own.Model", features=["price"]))
    (-inf, inf)
    """
    model = settings.model if isinstance(settings.model, str) else settings.model[-1]
    name = model.model if isinstance(model, ModelStep) else model
    return SCORE_RANGES.get(name, _ANY)
