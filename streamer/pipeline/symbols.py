"""The names that rules can use: event fields, features, detectors' outputs."""

from __future__ import annotations

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
from streamer.decoding.event_fields import DERIVED, FIELDS, KIND_NAMES, EventField
from streamer.messages.batch import Kind

_UNITS: Mapping[str, tuple[SymbolType, float]] = {
    "bps": ("relative", 1e-4),
    "ratio": ("relative", 1.0),
    "seconds": ("seconds", 1.0),
    "per_second": ("per_second", 1.0),
    "number": ("number", 1.0),
}
_OUTPUTS: Mapping[str, SymbolType] = {"score": "number", "rarity": "seconds"}
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
        return Symbol(name, _OUTPUTS[output], kinds=kinds, source="detector")


def _field(field: EventField) -> Symbol:
    kinds = frozenset(int(kind) for kind in field.kinds)
    if field.type == "enum":
        return Symbol(field.name, "enum", members=field.members, kinds=kinds)
    return Symbol(field.name, "number" if field.type == "number" else "string", kinds=kinds)


def _feature(name: str) -> Symbol | None:
    try:
        of_log = parse_log_feature(name)
        if of_log is not None:
            kind, scale = _UNITS[of_log.family.unit]
            return Symbol(name, kind, scale, kinds=frozenset({int(Kind.TIMER)}), source="feature")
        feature = parse_feature(name)
    except UnknownFeatureError:
        return None
    kind, scale = _UNITS[feature.unit]
    return Symbol(name, kind, scale, kinds=feature.fed_by, source="feature")
