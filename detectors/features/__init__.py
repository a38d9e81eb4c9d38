"""Features by name: what an instrument has been doing lately, computed at every event."""

from detectors.features.feature_set import CatalogueEntry, FeatureSet, catalogue
from detectors.features.log_wide import LOG_FAMILIES, LogFeature
from detectors.features.names import Feature, UnknownFeatureError, parse_feature, parse_log_feature
from detectors.features.registry import FAMILIES

__all__ = [
    "FAMILIES",
    "LOG_FAMILIES",
    "CatalogueEntry",
    "Feature",
    "FeatureSet",
    "LogFeature",
    "UnknownFeatureError",
    "catalogue",
    "parse_feature",
    "parse_log_feature",
]
