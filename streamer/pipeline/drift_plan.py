"""Which drifts a plan watches: the names of the configuration, understood."""

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
"""The watched name of how many alerts there are, per minute."""

_ALERTS_BLOCK_S = 10
_LONGEST_BLOCK_S = 3600


@dataclass(frozen=True, slots=True)
class Watch:
    """One watched name.

    Parameters
    ----------
    name
        As it was written.
    source
        What stands behind it.
    block_s
        Seconds that one value covers at least: values of a window overlap within it.
    kinds
        The kinds of events that bring a new value.
    detector
        Whose score it is, None where it is none.
    """

    name: str
    source: Literal["feature", "score", "alerts"]
    block_s: int
    kinds: frozenset[int]
    detector: str | None = None


@dataclass(frozen=True, slots=True)
class DriftPlan:
    """What is watched.

    Parameters
    ----------
    watches
        In the configuration's order.
    per_instrument
        True where every instrument has a series of its own, else a task has one.
    severity
        Of the alerts.
    """

    watches: tuple[Watch, ...] = ()
    per_instrument: bool = False
    severity: Severity = "warning"

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are watched."""
        return tuple(watch.name for watch in self.watches if watch.source == "feature")


def compile_drift(config: ConfigFile, problems: list[Problem]) -> DriftPlan:
    """The drift part of a plan; what is wrong with it is added to `problems`."""
    settings = config.settings.drift
    if DRIFT in config.settings.rules.enabled:
        path: Path = ("rules", DRIFT)
        problems.append(
            config.key_problem(path, f"'{DRIFT}' is what drifts are called: give the rule another name")
        )
    watches = []
    for position, name in enumerate(settings.watch):
        found = _watch(name, config.settings.detectors)
        if isinstance(found, str):
            problems.append(config.problem(("drift", "watch", position), found))
        else:
            watches.append(found)
    return DriftPlan(tuple(watches), settings.per_instrument, settings.severity)


def _watch(name: str, detectors: Mapping[str, DetectorSettings]) -> Watch | str:
    """What a name stands for, or what is wrong with it."""
    if name == ALERT_RATE:
        return Watch(name, "alerts", _ALERTS_BLOCK_S, frozenset())
    detector, dot, output = name.partition(".")
    if dot:
        if detector not in detectors:
            known = [f"{each}.score" for each in detectors]
            return f"there is no detector '{detector}'{did_you_mean(name, known)}"
        if output != "score":
            return f"of a detector only the score is watched: '{detector}.score'"
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
    found = []
    for name in inputs:
        try:
            found.append(parse_feature(name))
        except UnknownFeatureError:
            continue  # a field of the event, or a mistake that is reported where it stands
    return found


def _block_s(features: Iterable[Feature], *, of_baseline: bool = False) -> int:
    """The longest window of these, in seconds; a mean over a horizon is a window, if it is watched itself."""
    spans = [1]
    for feature in features:
        base = feature.base.window_ns if isinstance(feature.base, Feature) else 0
        horizon = feature.horizon_ns if of_baseline and feature.statistic in ("mean", "sd") else 0
        spans.append(math.ceil(max(feature.window_ns, base, horizon) / NS_PER_SECOND))
    return min(max(spans), _LONGEST_BLOCK_S)
