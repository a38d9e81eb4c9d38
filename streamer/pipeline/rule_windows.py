"""Whether the windows that a rule looks through have passed since its features are computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts.durations import lasting
from detectors.detector_settings import DetectorSettings
from detectors.features import parse_feature, parse_log_feature
from streamer.decoding.event_fields import DERIVED, FIELDS
from streamer.messages.time_units import NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class RuleWindow:
    """The time that a feature looks back.

    Parameters
    ----------
    feature
        Its name.
    unknown_s
        Seconds in which it has no value at all.
    whole_s
        Seconds until it rests on all of the time that its name says; the mean of an hour has a value before.
    """

    feature: str
    unknown_s: float
    whole_s: float


@dataclass(frozen=True, slots=True)
class WindowsLeft:
    """What has not passed yet: seconds in the log that is furthest, and why, in words."""

    seconds: float = 0.0
    reason: str = ""


def rule_windows(names: Iterable[str], detectors: Mapping[str, DetectorSettings]) -> tuple[RuleWindow, ...]:
    """The windows of the features that a rule names, and of the inputs of its detectors.

    Examples
    --------
    >>> [(each.feature, each.unknown_s, each.whole_s) for each in rule_windows(["size_mean_1h"], {})]
    [('size_mean_1h', 0.0, 3600.0)]
    """
    found: dict[str, RuleWindow] = {}
    for name in names:
        inputs = detectors[name.partition(".")[0]].features if "." in name else [name]
        for each in inputs:
            if each in FIELDS or each in DERIVED or each in ("venue", "symbol"):
                continue
            if parse_log_feature(each) is None:
                found[each] = _window(each)
    return tuple(window for window in found.values() if window.whole_s)


def longest_s(windows: Iterable[RuleWindow]) -> float:
    """Seconds until all of them have passed, from nothing."""
    return max((window.whole_s for window in windows), default=0.0)


def windows_left(windows: Sequence[RuleWindow], followed_s: Sequence[Mapping[str, float]]) -> WindowsLeft:
    """What of the windows has not passed, in the log where least is left.

    Parameters
    ----------
    windows
        Of one rule.
    followed_s
        For each log, by feature, seconds since it has been computed; empty where that is not known.
    """
    logs = [[(window, of[window.feature]) for window in windows if window.feature in of] for of in followed_s]
    if not logs:
        return WindowsLeft()
    nearest = min(logs, key=_left_s)
    if not _left_s(nearest):
        behind = sum(1 for log in logs if _left_s(log))
        return WindowsLeft(0.0, f"in {behind} of {len(logs)} logs still warming" if behind else "")
    window, passed = max(nearest, key=lambda each: each[0].whole_s - each[1])
    so_far = f"{_brief(passed)} of {_brief(window.whole_s)} so far"
    if any(passed < each.unknown_s for each, passed in nearest):
        return WindowsLeft(_left_s(nearest), f"{window.feature} has {so_far}")
    return WindowsLeft(_left_s(nearest), f"it can fire, but {window.feature} rests on {so_far}")


def _left_s(log: Sequence[tuple[RuleWindow, float]]) -> float:
    return max((max(window.whole_s - passed, 0.0) for window, passed in log), default=0.0)


def _brief(seconds: float) -> str:
    return lasting(seconds).replace(" ", "")


def _window(name: str) -> RuleWindow:
    feature = parse_feature(name)
    if feature.base is None:
        own_s = feature.window_ns / NS_PER_SECOND
        return RuleWindow(name, own_s, own_s)
    base_s = 0.0 if isinstance(feature.base, str) else feature.base.window_ns / NS_PER_SECOND
    return RuleWindow(name, base_s, base_s + feature.horizon_ns / NS_PER_SECOND)
