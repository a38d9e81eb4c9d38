"""Features by name: what an instrument has been doing lately, computed at every event."""

from detectors.features.feature_set import CatalogueEntry, FeatureSet, catalogue
from detectors.features.names import Feature, UnknownFeatureError, parse_feature
from detectors.features.registry import FAMILIES

__all__ = [
    "FAMILIES",
    "CatalogueEntry",
    "Feature",
    "FeatureSet",
    "UnknownFeatureError",
    "catalogue",
    "parse_feature",
]
