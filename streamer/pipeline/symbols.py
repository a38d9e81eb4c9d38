"""The names that rules can use: event fields, features, detectors' outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from alerts.language.symbols import Symbol, SymbolType
from detectors.detector_settings import DetectorSettings
from detectors.features import (
    LOG_FAMILIES,
    UnknownFeatureError,
    catalogue,
    parse_feature,
    parse_log_feature,
)
from detectors.features.names import Feature
from detectors.models.score_ranges import score_range
from streamer.decoding.event_fields import DERIVED, FIELDS, KIND_NAMES, EventField
from streamer.messages.batch import Kind
from streamer.pipeline.detector_states import model_name

_UNITS: Mapping[str, tuple[SymbolType, float]] = {
    "bps": ("relative", 1e-4),
    "ratio": ("relative", 1.0),
    "seconds": ("seconds", 1.0),
    "per_second": ("per_second", 1.0),
    "number": ("number", 1.0),
}
_OUTPUTS: Mapping[str, SymbolType] = {"score": "number", "rarity": "seconds"}
_ANY, _POSITIVE = (-math.inf, math.inf), (0.0, math.inf)
_RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("trade_rate", "message_rate", "quote_rate", "order_rate", "volume", "notional", "pulled_size"),
        _POSITIVE,
    ),
    **dict.fromkeys(("fill_ratio", "missing_events", "interarrival_s", "silence_s", "mid"), _POSITIVE),
    "imbalance": (-1.0, 1.0),
    "silent_share": (0.0, 1.0),
}
"""The ranges of features by stem, where they are not any number."""

_EVERY_KIND = frozenset(int(kind) for kind in Kind)


class PlanSymbols:
    """The symbol table of a configuration.

    Parameters
    ----------
    detectors
        The configured detectors by name.

    Examples
    --------
    >>> symbols = PlanSymbols({})
    >>> symbols.lookup("return_bps_10s").type
    'relative'
    >>> symbols.lookup("nonsense") is None
    True
    """

    def __init__(self, detectors: Mapping[str, DetectorSettings]) -> None:
        self._detectors = detectors

    def lookup(self, name: str) -> Symbol | None:
        """The symbol of a name, None if there is none."""
        if "." in name:
            return self._output(name)
        if name in ("venue", "symbol"):
            return Symbol(name, "string", kinds=_EVERY_KIND)
        if name in FIELDS:
            return _field(FIELDS[name])
        if name in DERIVED:
            return _field(DERIVED[name].field)
        return _feature(name)

    def names(self) -> Iterable[str]:
        """Names to suggest for a misspelled one."""
        yield from ("venue", "symbol", *FIELDS, *DERIVED)
        for detector in self._detectors:
            yield from (f"{detector}.{output}" for output in _OUTPUTS)
        for entry in catalogue():
            yield f"{entry.stem}_10s" if entry.windowed else entry.stem
        yield from (f"{stem}_30s" for stem in LOG_FAMILIES)

    def explain(self, name: str) -> str | None:
        """What is wrong with an unknown name, None if there is nothing more to say than that."""
        detector, dot, _ = name.partition(".")
        if dot:
            if detector not in self._detectors:
                known = ", ".join(self._detectors) or "none is configured"
                return f"there is no detector '{detector}' (detectors: {known})"
            return f"a detector has a score and a rarity, and nothing called '{name.partition('.')[2]}'"
        if name in self._detectors:
            outputs = " or ".join(f"{name}.{output}" for output in _OUTPUTS)
            return f"'{name}' is a detector: name its output, {outputs} (did you mean '{name}.score'?)"
        try:
            parse_log_feature(name)
            parse_feature(name)
        except UnknownFeatureError as error:
            text = str(error)
            return None if text.startswith("unknown feature") else text
        return None

    def _output(self, name: str) -> Symbol | None:
        detector, _, output = name.partition(".")
        settings = self._detectors.get(detector)
        if settings is None or output not in _OUTPUTS:
            return None
        kinds = frozenset(KIND_NAMES.index(kind) for kind in settings.on)
        low, high = score_range(settings) if output == "score" else (0.0, math.inf)
        why = f"{model_name(settings.model)} scores {_from_to(low, high)}" if output == "score" else ""
        return Symbol(name, _OUTPUTS[output], kinds=kinds, source="detector", low=low, high=high, why=why)


def _field(field: EventField) -> Symbol:
    kinds = frozenset(int(kind) for kind in field.kinds)
    if field.type == "enum":
        return Symbol(field.name, "enum", members=field.members, kinds=kinds)
    if field.type != "number":
        return Symbol(field.name, "string", kinds=kinds)
    low = 0.0 if field.bounds is None else field.bounds.low
    high = math.inf if field.bounds is None else field.bounds.high
    return Symbol(field.name, "number", kinds=kinds, low=low, high=high)


def _feature(name: str) -> Symbol | None:
    try:
        of_log = parse_log_feature(name)
        if of_log is not None:
            kind, scale = _UNITS[of_log.family.unit]
            low, high = _RANGES[of_log.family.stem]
            on_timers = frozenset({int(Kind.TIMER)})
            return Symbol(name, kind, scale, kinds=on_timers, source="feature", low=low, high=high)
        feature = parse_feature(name)
    except UnknownFeatureError:
        return None
    kind, scale = _UNITS[feature.unit]
    low, high = _range_of(feature)
    return Symbol(name, kind, scale, kinds=feature.fed_by, source="feature", low=low, high=high)


def _range_of(feature: Feature) -> tuple[float, float]:
    if feature.family is not None:
        return _RANGES.get(feature.family.stem, _ANY)
    if feature.statistic in ("sd", "var"):
        return _POSITIVE
    if feature.statistic == "z":
        return _ANY
    if isinstance(feature.base, Feature):
        return _range_of(feature.base)
    return _POSITIVE if feature.shape == "positive" else _ANY


def _from_to(low: float, high: float) -> str:
    if math.isinf(low):
        return "any number"
    return f"from {low:g} upwards" if math.isinf(high) else f"from {low:g} to {high:g}"
