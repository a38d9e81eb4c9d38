"""Feature names: parse `return_bps_10s` and `size_mean_1h`, and explain what is wrong with `retrun_10`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from detectors.features.baselines import STATISTICS, Statistic
from detectors.features.baselines import VERSION as BASELINE_VERSION
from detectors.features.family import Family, Unit
from detectors.features.log_wide import LOG_FAMILIES, LogFeature
from detectors.features.registry import FAMILIES
from detectors.fields import FIELDS, Shape
from detectors.time_units import NS_PER_SECOND

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_WINDOW_S = 3600
_LONGEST_HORIZON_S = 30 * 86400
_WINDOWED = re.compile(r"(?P<stem>.+)_(?P<window>[0-9]+[A-Za-z]*)")
_BASELINE = re.compile(
    rf"(?P<base>.+)_(?P<statistic>{'|'.join(STATISTICS)})(?:_(?P<window>[0-9]+[A-Za-z]*))?"
)
_OTHER_STATISTICS: Mapping[str, Statistic | None] = {
    **dict.fromkeys(("avg", "average", "ma", "sma", "ema", "ewma", "median", "med", "mu"), "mean"),
    **dict.fromkeys(("std", "stdev", "stddev", "stdv", "sigma", "dev", "mad", "vol"), "sd"),
    **dict.fromkeys(("variance",), "var"),
    **dict.fromkeys(("zscore", "score", "standardized", "norm"), "z"),
    **dict.fromkeys(("max", "min", "sum", "count", "total", "percentile", "quantile", "pct", "rank"), None),
}
"""Statistics of other systems, each with the one here that comes closest."""
_TOTALS = ("sum", "count", "total")

_OTHER = re.compile(
    rf"(?P<base>.+?)_(?P<statistic>{'|'.join(_OTHER_STATISTICS)}|[pq][0-9]{{1,4}})(?:_(?P<window>[0-9]+[A-Za-z]*))?",
    re.IGNORECASE,
)
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")


class UnknownFeatureError(ValueError):
    """No feature has this name.

    Parameters
    ----------
    name
        The unknown name.
    problem
        What is wrong with it.
    suggestions
        Similar names, likeliest first.
    """

    def __init__(self, name: str, problem: str, suggestions: tuple[str, ...] = ()) -> None:
        hint = f" (did you mean {suggestions[0]!r}?)" if suggestions else ""
        super().__init__(problem + hint)
        self.name = name
        self.problem = problem
        self.suggestions = suggestions


@dataclass(frozen=True, slots=True)
class Feature:
    """A parsed feature name.

    Parameters
    ----------
    name
        As it was written.
    unit, shape
        The unit of its values, and how they behave.
    fed_by
        Kinds of rows that feed it.
    needs
        The event fields it is computed from.
    spec
        What it computes, including the versions of the code: features with equal specs share their state.
    family, window_ns
        The family that computes it and its window; None and 0 for a baseline.
    base
        A baseline's input: the name of a field, or a feature; None for other features.
    statistic, horizon_ns
        A baseline's statistic and horizon; None and 0 for other features.
    """

    name: str
    unit: Unit
    shape: Shape
    fed_by: frozenset[int]
    needs: frozenset[str]
    spec: str
    family: Family | None = None
    window_ns: int = 0
    base: Feature | str | None = None
    statistic: Statistic | None = None
    horizon_ns: int = 0


@lru_cache(maxsize=4096)
def parse_feature(name: str) -> Feature:
    """Parse a feature's name.

    A name is a stem and its window (``trade_rate_1m``), a stem alone where there is no window
    (``spread_bps``), or a baseline: a numeric event field or a feature, a statistic and a horizon
    (``size_mean_1h``, ``return_bps_10s_z_1h``). Windows go from 1s to 1h, horizons to 30d.

    Raises
    ------
    UnknownFeatureError
        When no feature has this name; the message says what is wrong and suggests a similar one.

    Examples
    --------
    >>> parse_feature("trade_rate_1m").unit
    'per_second'
    >>> parse_feature("trade_rate_90m")
    Traceback (most recent call last):
    detectors.features.names.UnknownFeatureError: 'trade_rate_90m': a window goes from 1s to 1h
    """
    if name in FAMILIES and not FAMILIES[name].windowed:
        return _of_family(name, FAMILIES[name], 0)
    baseline = _BASELINE.fullmatch(name)
    if baseline:
        return _baseline(name, baseline)
    windowed = _WINDOWED.fullmatch(name)
    if windowed and windowed["stem"] in FAMILIES:
        return _windowed(name, FAMILIES[windowed["stem"]], windowed["window"])
    if name in FAMILIES:
        raise UnknownFeatureError(name, f"{name!r} needs a window from 1s to 1h", (f"{name}_10s",))
    if name in FIELDS:
        raise UnknownFeatureError(name, f"{name!r} is a field of the event, not a feature")
    if parse_log_feature(name) is not None:
        raise UnknownFeatureError(name, f"{name!r} is of the whole log, on timers: only rules can use it")
    other = _OTHER.fullmatch(name)
    if other:
        _refuse_statistic(name, other)
    raise UnknownFeatureError(name, f"unknown feature {name!r}", _suggest(name))


@lru_cache(maxsize=256)
def parse_log_feature(name: str) -> LogFeature | None:
    """Parse the name of a feature of the whole log; None if it is not meant as one.

    Raises
    ------
    UnknownFeatureError
        When its window is missing, or wrong.

    Examples
    --------
    >>> parse_log_feature("silent_share_1m").window_ns
    60000000000
    >>> parse_log_feature("trade_rate_1m") is None
    True
    """
    if name in LOG_FAMILIES:
        raise UnknownFeatureError(name, f"{name!r} needs a window from 1s to 1h", (f"{name}_30s",))
    windowed = _WINDOWED.fullmatch(name)
    if windowed is None or windowed["stem"] not in LOG_FAMILIES:
        return None
    window_ns = _duration(name, windowed["window"], "window", _LONGEST_WINDOW_S, "1h")
    return LogFeature(name, LOG_FAMILIES[windowed["stem"]], window_ns)


def _windowed(name: str, family: Family, text: str) -> Feature:
    if not family.windowed:
        raise UnknownFeatureError(name, f"{family.stem!r} takes no window", (family.stem,))
    return _of_family(name, family, _duration(name, text, "window", _LONGEST_WINDOW_S, "1h"))


def _of_family(name: str, family: Family, window_ns: int) -> Feature:
    window = f"[{window_ns // NS_PER_SECOND}s]" if family.windowed else ""
    return Feature(
        name=name,
        unit=family.unit,
        shape=family.shape,
        fed_by=family.fed_by,
        needs=family.needs,
        spec=f"{family.stem}.{family.version}{window}",
        family=family,
        window_ns=window_ns,
    )


def _baseline(name: str, match: re.Match[str]) -> Feature:
    base_name: str = match["base"]
    statistic: Statistic = match["statistic"]  # type: ignore[assignment]  # the pattern allows no other
    if base_name in FIELDS:
        field = FIELDS[base_name]
        base: Feature | str = base_name
        unit: Unit = "number"
        shape, fed_by, needs, of = field.shape, frozenset(field.kinds), frozenset({base_name}), base_name
    else:
        base = _base_feature(name, base_name, match)
        unit, shape, fed_by, needs, of = base.unit, base.shape, base.fed_by, base.needs, base.spec
    if match["window"] is None:
        raise UnknownFeatureError(
            name, f"{name!r} needs a horizon from 1s to 30d", (f"{base_name}_{statistic}_1h",)
        )
    horizon_ns = _duration(name, match["window"], "horizon", _LONGEST_HORIZON_S, "30d")
    return Feature(
        name=name,
        unit=unit if statistic in {"mean", "sd"} else "number",
        shape={"mean": shape, "z": "signed"}.get(statistic, "positive"),
        fed_by=fed_by,
        needs=needs,
        spec=f"baseline.{BASELINE_VERSION}[{horizon_ns // NS_PER_SECOND}s]({of})",
        base=base,
        statistic=statistic,
        horizon_ns=horizon_ns,
    )


def _refuse_statistic(name: str, match: re.Match[str]) -> None:
    """Refuse a statistic that there is not, of a base that there is."""
    base = match["base"]
    if base not in FIELDS:
        try:
            parse_feature(base)
        except UnknownFeatureError:
            return
    statistic = match["statistic"].lower()
    closest = _OTHER_STATISTICS.get(statistic)
    horizon = _or_default(match["window"], _LONGEST_HORIZON_S, "1h")
    listed = f"{', '.join(STATISTICS[:-1])} and {STATISTICS[-1]}"
    problem = f"{name!r}: there is no statistic {statistic!r}, only {listed}"
    if closest is None and statistic not in _TOTALS:
        closest = "z"  # how far it is from the usual
    raise UnknownFeatureError(name, problem, (f"{base}_{closest}_{horizon}",) if closest else ())


def _base_feature(name: str, base_name: str, match: re.Match[str]) -> Feature:
    try:
        base = parse_feature(base_name)
    except UnknownFeatureError as error:
        tail = f"{match['statistic']}_{_or_default(match['window'], _LONGEST_HORIZON_S, '1h')}"
        suggestions = tuple(f"{close}_{tail}" for close in error.suggestions)
        raise UnknownFeatureError(name, f"{name!r}: {error.problem}", suggestions) from None
    if base.base is not None:
        raise UnknownFeatureError(name, f"{name!r}: a baseline of a baseline is not supported")
    return base


def _duration(name: str, text: str, what: str, longest_s: int, longest: str) -> int:
    seconds = _seconds(text)
    if seconds is None:
        raise UnknownFeatureError(name, f"{name!r}: {text!r} is not a {what}: write 10s, 5m or 1h")
    if seconds > longest_s:
        raise UnknownFeatureError(name, f"{name!r}: a {what} goes from 1s to {longest}")
    return seconds * NS_PER_SECOND


def _seconds(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def _or_default(text: str | None, longest_s: int, default: str) -> str:
    seconds = _seconds(text) if text else None
    return text if text and seconds and seconds <= longest_s else default


def _suggest(name: str) -> tuple[str, ...]:
    match = _WINDOWED.fullmatch(name)
    stem = match["stem"] if match else name
    window = _or_default(match["window"] if match else None, _LONGEST_WINDOW_S, "10s")
    close = difflib.get_close_matches(stem, [*FAMILIES, *FIELDS], n=3, cutoff=0.6)
    return tuple(
        f"{known}_{window}" if known in FAMILIES and FAMILIES[known].windowed else known for known in close
    )
