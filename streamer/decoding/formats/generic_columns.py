"""Compiles a user's mapping for the kernels, if it is simple enough for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streamer.decoding.columns.event_columns import EventColumns
from streamer.decoding.columns.event_plan import (
    ConstantSource,
    EnumSource,
    EventPlan,
    EventSources,
    FieldSource,
    IntegerSource,
    KindSource,
    NameSource,
    NumberSource,
    Path,
    PlainTextSource,
    TimeSource,
)
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import FIELDS, KIND_NAMES
from streamer.decoding.formats.generic_values import factor_of, file_stem, name_maker
from streamer.decoding.mapping_parts import OUTSIDE, KindFrom, NameFrom, NumberFrom, TextFrom, TimeFrom
from streamer.decoding.refusals import Refusal


def generic_columns(
    kind: KindFrom, fields_by_kind: Mapping[str, Mapping[str, object]], *, listed: bool
) -> EventColumns | None:
    """The column decoder for a mapping's records; None if kernels do not support the mapping.

    Not supported are lists, indices into lists, the record's key, a scaled `sequence`, and two fields that
    expect values of different types at the same path.

    Parameters
    ----------
    kind, fields_by_kind
        The mapping: the fields of each kind, and their sources.
    listed
        Whether records hold lists of events.
    """
    if listed:
        return None
    try:
        return EventColumns(_MappingCompiler().plan(kind, fields_by_kind))
    except ValueError:
        return None


class _MappingCompiler:
    def __init__(self) -> None:
        self._names: list[tuple[str, NameFrom, NameSource]] = []

    def plan(self, kind: KindFrom, fields_by_kind: Mapping[str, Mapping[str, object]]) -> EventPlan:
        sources = {name: self._sources(fields) for name, fields in fields_by_kind.items()}
        return EventPlan(_kind(kind), sources)

    def _sources(self, fields: Mapping[str, object]) -> EventSources:
        symbol, venue, time = (fields.get(name) for name in ("symbol", "venue", "ts_event"))
        if not isinstance(symbol, NameFrom):
            raise ValueError("no symbol")  # noqa: TRY004 (the mapping is at fault)
        return EventSources(
            symbol=self._name("symbol", symbol),
            venue=self._name("venue", venue) if isinstance(venue, NameFrom) else None,
            time=_time(time) if isinstance(time, TimeFrom) else None,
            fields={name: _source(name, given) for name, given in fields.items() if name in FIELDS},
        )

    def _name(self, name: str, given: NameFrom) -> NameSource:
        """Share one source among equal names, so that each is looked up once."""
        for known_name, known, source in self._names:
            if (known_name, known) == (name, given):
                return source
        source = _name(name, given)
        self._names.append((name, given, source))
        return source


def _kind(given: KindFrom) -> KindSource:
    if given.path is None:
        return KindSource(None, constant=given.constant or "")
    means = dict(given.map) if given.map is not None else {kind: kind for kind in KIND_NAMES}
    return KindSource(_path(given.path), means, given.ignore, loose=True)


def _path(path: str) -> Path:
    steps = path.split(".")
    steps = steps[1:] if steps[0] == OUTSIDE else steps
    if any(step.isdecimal() for step in steps):
        raise ValueError(f"{path}: may lead into a list")
    return tuple(steps)


def _source(name: str, given: object) -> FieldSource:
    if isinstance(given, TimeFrom):
        return _time(given)
    if isinstance(given, NumberFrom):
        return _number(name, given)
    if isinstance(given, TextFrom):
        return _text(name, given)
    raise ValueError(f"{name}: {given!r}")


def _time(given: TimeFrom) -> TimeSource:
    return TimeSource(_path(given.path), given.unit, may_be_text=True)


def _number(name: str, given: NumberFrom) -> FieldSource:
    if given.path is None:
        if given.constant is None:
            raise ValueError(f"{name}: no constant")
        return ConstantSource(given.constant)
    path, bounds = _path(given.path), FIELDS[name].bounds
    if bounds is not None and bounds.whole:
        if given.scale is not None:
            raise ValueError(f"{name}: a scaled whole number")
        return IntegerSource(path, may_be_text=True)
    factor, divided = (1.0, False) if given.scale is None else factor_of(given.scale)
    return NumberSource(path, may_be_text=True, factor=factor, divided=divided)


def _text(name: str, given: TextFrom) -> FieldSource:
    if given.path is None:
        return ConstantSource(given.constant or "")
    members = FIELDS[name].members
    if given.map is not None:
        return EnumSource(_path(given.path), given.map, loose=True)
    if members:
        return EnumSource(_path(given.path), {member: member for member in members}, loose=True)
    return PlainTextSource(_path(given.path), loose=True)


_SURROUNDINGS: Mapping[str, Callable[[DecodeContext], str]] = {
    "topic": lambda context: context.topic,
    "file": lambda context: file_stem(context.topic),
}


def _name(name: str, given: NameFrom) -> NameSource:
    constant = given.constant
    if constant is not None:
        return NameSource(None, given=lambda context: constant)
    make = _none_if_refused(name_maker(given, name))
    if given.path is not None:
        renames = given.pattern is not None or given.map is not None
        loose = name == "symbol"
        return NameSource(_path(given.path), loose=loose, rename=make if renames else None)
    origin = given.origin or "topic"
    if origin not in _SURROUNDINGS:
        raise ValueError(f"{name}: from {origin}")
    surroundings = _SURROUNDINGS[origin]
    return NameSource(None, given=lambda context: make(surroundings(context)))


def _none_if_refused(make: Callable[[object], str | None]) -> Callable[[str], str | None]:
    """The same function, but None where it refuses a text."""

    def make_or_none(text: str) -> str | None:
        try:
            return make(text)
        except Refusal:
            return None

    return make_or_none
