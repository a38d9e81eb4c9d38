"""What a plan watches for drift: the names of the configuration, resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from alerts.one_shot import DRIFT
from alerts.severity import Severity
from detectors.detector_settings import DetectorSettings
from detectors.features import UnknownFeatureError, parse_feature
from detectors.features.names import Feature
from streamer.config.errors import Path, Problem, did_you_mean
from streamer.config.file import ConfigFile
from streamer.messages.time_units import NS_PER_SECOND

ALERT_RATE = "alert_rate"
"""The watched name for the number of alerts per minute."""

_ALERTS_BLOCK_S = 10
_LONGEST_BLOCK_S = 3600


@dataclass(frozen=True, slots=True)
class Watch:
    """One watched name.

    Parameters
    ----------
    name
        As configured.
    source
        What it is.
    block_s
        Minimum seconds that one value averages; values of a windowed feature overlap in shorter ones.
    kinds
        The kinds of events that give a new value.
    detector
        The detector whose score it is, None for anything else.
    """

    name: str
    source: Literal["feature", "score", "alerts"]
    block_s: int
    kinds: frozenset[int]
    detector: str | None = None


@dataclass(frozen=True, slots=True)
class DriftPlan:
    """What is watched for drift.

    Parameters
    ----------
    watches
        In configuration order.
    per_instrument
        True if each instrument has its own series, False for one series per task.
    severity
        The alerts' severity.
    """

    watches: tuple[Watch, ...] = ()
    per_instrument: bool = False
    severity: Severity = "warning"

    @property
    def features(self) -> tuple[str, ...]:
        """The watched features."""
        return tuple(watch.name for watch in self.watches if watch.source == "feature")


def compile_drift(config: ConfigFile, problems: list[Problem]) -> DriftPlan:
    """The drift part of a plan; its errors are added to `problems`."""
    settings = config.settings.drift
    if DRIFT in config.settings.rules.enabled:
        path: Path = ("rules", DRIFT)
        problems.append(
            config.key_problem(path, f"'{DRIFT}' is the rule name of drift alerts: rename this rule")
        )
    watches = []
    for position, name in enumerate(settings.watch):
        watch = _watch(name, config.settings.detectors)
        if isinstance(watch, str):
            problems.append(config.problem(("drift", "watch", position), watch))
        else:
            watches.append(watch)
    return DriftPlan(tuple(watches), settings.per_instrument, settings.severity)


def _watch(name: str, detectors: Mapping[str, DetectorSettings]) -> Watch | str:
    """The watch that a name stands for, or what is wrong with the name."""
    if name == ALERT_RATE:
        return Watch(name, "alerts", _ALERTS_BLOCK_S, frozenset())
    detector, dot, output = name.partition(".")
    if dot:
        if detector not in detectors:
            known = [f"{each}.score" for each in detectors]
            return f"there is no detector '{detector}'{did_you_mean(name, known)}"
        if output != "score":
            return f"only a detector's score can be watched: '{detector}.score'"
        inputs = detectors[detector].features
        return Watch(name, "score", _block_s(_features(inputs)), frozenset(), detector)
    try:
        feature = parse_feature(name)
    except UnknownFeatureError as error:
        near = did_you_mean(name, [*_names(detectors), *error.suggestions])
        return f"{error.problem}{near}" if near else str(error)
    return Watch(name, "feature", _block_s([feature], of_baseline=True), feature.fed_by)


def _names(detectors: Iterable[str]) -> list[str]:
    return [ALERT_RATE, *(f"{detector}.score" for detector in detectors)]


def _features(inputs: Iterable[str]) -> list[Feature]:
    features = []
    for name in inputs:
        try:
            features.append(parse_feature(name))
        except UnknownFeatureError:
            continue  # an event field, or an error reported with the detector
    return features


def _block_s(features: Iterable[Feature], *, of_baseline: bool = False) -> int:
    """The longest window in seconds; a baseline's horizon counts only if the baseline itself is watched."""
    spans = [1]
    for feature in features:
        base = feature.base.window_ns if isinstance(feature.base, Feature) else 0
        horizon = feature.horizon_ns if of_baseline and feature.statistic in ("mean", "sd") else 0
        spans.append(math.ceil(max(feature.window_ns, base, horizon) / NS_PER_SECOND))
    return min(max(spans), _LONGEST_BLOCK_S)
