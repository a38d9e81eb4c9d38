"""A user's own JSON, decoded by a mapping that gives the source of each field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from streamer.decoding.column_decoding import DecodedColumns, decode_records
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import FIELDS, KIND_NAMES
from streamer.decoding.formats.generic_columns import generic_columns
from streamer.decoding.formats.generic_values import factor_of, file_stem, mapped, name_maker
from streamer.decoding.formats.record_decoding import (
    DecodeCall,
    add_draft,
    as_object,
    decode_each,
    decode_events,
)
from streamer.decoding.json_text import parse
from streamer.decoding.mapping_parts import (
    OUTSIDE,
    KindFrom,
    NameFrom,
    NumberFrom,
    TextFrom,
    TimeFrom,
    map_key,
)
from streamer.decoding.mapping_settings import EnvelopeMapping, MappingSettings
from streamer.decoding.refusals import Refusal, brief, missing
from streamer.decoding.value_parsing import NS_PER, as_number, as_text, as_time, as_whole
from streamer.messages.batch import Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record


class _EventSite(NamedTuple):
    """One event and its surroundings: the root of the record's JSON, the record, its topic."""

    event: dict[str, object]
    root: object
    record: Record
    context: DecodeContext


_Getter = Callable[[_EventSite], object]


class GenericFormat:
    """Decodes a user's own JSON.

    Parameters
    ----------
    settings
        The mapping.

    Examples
    --------
    >>> from streamer.decoding.format_settings import FormatSettings
    >>> settings = FormatSettings.model_validate({
    ...     "event_type": "trade",
    ...     "symbol": {"from": "file", "pattern": "([A-Z]+)_"},
    ...     "ts_event": {"path": "ts_ms", "unit": "ms"},
    ...     "trade": {"price": "price", "size": "amount", "aggressor_side": "side"},
    ... })
    >>> value = b'{"ts_ms": "1605549866174", "side": "buy", "price": "0.00000136", "amount": "335.0"}'
    >>> context = DecodeContext("APPC_2020-11-18.csv.gz", "binance")
    >>> batch = GenericFormat(settings).decode([Record(0, value)], context).batch
    >>> batch.instruments[0].symbol, batch.event(0)
    ('APPC', {'aggressor_side': 'buy', 'price': 1.36e-06, 'size': 335.0})
    """

    name = "generic"

    def __init__(self, settings: MappingSettings) -> None:
        if settings.event_type is None:
            msg = "a mapping needs event_type"
            raise ValueError(msg)
        document = msgspec.json.encode(settings.document(), order="sorted").decode()
        self.spec = f"generic/1 {document}"
        self._events = None if settings.events is None else settings.events.split(".")
        self._kind = _kind_getter(settings.event_type)
        self._kind_outside = (settings.event_type.path or "").startswith(f"{OUTSIDE}.")
        sections = {kind: getattr(settings, kind) for kind in KIND_NAMES}
        named = settings.event_type.kinds() or [kind for kind in sections if sections[kind] is not None]
        merged = {kind: _merged(settings, sections[kind]) for kind in named}
        self._getters = {kind: tuple(_getters(fields)) for kind, fields in merged.items()}
        self.provides: Mapping[str, frozenset[str]] = MappingProxyType(
            {kind: frozenset(fields) & FIELDS.keys() for kind, fields in merged.items()}
        )
        times = {kind: fields.get("ts_event") for kind, fields in merged.items()}
        self.time_units: Mapping[str, str] = MappingProxyType(
            {
                kind: time.unit
                for kind, time in times.items()
                if isinstance(time, TimeFrom) and time.unit in NS_PER
            }
        )
        self.needs_venue = any("venue" not in fields for fields in merged.values())
        self._columns = generic_columns(settings.event_type, merged, listed=self._events is not None)

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """The kernels' result for a block; see `Format.columns`."""
        return None if self._columns is None else self._columns.read(block, context)

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """Decode records; see `Format.decode`."""
        return decode_records(
            records,
            context.source,
            lambda block: self.columns(block, context),
            lambda rest: decode_each(rest, context, self._decode_one),
        )

    def _decode_one(self, value: bytes, record: Record, call: DecodeCall) -> None:
        root = events = parse(value)
        if self._events is not None:
            outer = as_object(root)
            if self._kind_outside and self._ignores(_EventSite(outer, outer, record, call.context), call):
                return
            events = _at(outer, self._events)
            if events is None:
                raise missing(".".join(self._events))

        def decode_event(element: object, index: int) -> None:
            site = _EventSite(as_object(element), root, record, call.context)
            if not self._ignores(site, call):
                add_draft(self._draft(site), record, index, call)

        decode_events(events, record, call, decode_event)

    def _ignores(self, site: _EventSite, call: DecodeCall) -> bool:
        kind, used = self._kind(site)
        if not used:
            call.builder.ignore(kind)
        return not used

    def _draft(self, site: _EventSite) -> dict[str, object]:
        kind, _ = self._kind(site)
        getters = self._getters.get(kind)
        if getters is None:
            raise Refusal(Reason.UNKNOWN_KIND, f"event_type: {brief(kind)} has no section in the mapping")
        draft: dict[str, object] = {"event_type": kind}
        for name, get in getters:
            draft[name] = get(site)
        return draft


def _merged(settings: MappingSettings, section: EnvelopeMapping | None) -> dict[str, object]:
    """A kind's fields and their sources; the section's own take precedence over the envelope's."""
    names = [*EnvelopeMapping.model_fields, *([] if section is None else type(section).model_fields)]
    merged: dict[str, object] = {}
    for name in dict.fromkeys(names):
        own = getattr(section, name, None)
        source = own if own is not None else getattr(settings, name, None)
        if source is not None:
            merged[name] = source
    return merged


def _getters(fields: Mapping[str, object]) -> list[tuple[str, _Getter]]:
    getters: list[tuple[str, _Getter]] = []
    for name, source in fields.items():
        get = _getter(name, source)
        if get is not None:
            path = getattr(source, "path", None)
            outside = path is None or path.startswith(f"{OUTSIDE}.")
            getters.append((name, _once_a_record(get) if outside else get))
    return getters


def _getter(name: str, source: object) -> _Getter | None:
    if isinstance(source, TimeFrom):
        return _time_getter(name, source)
    if isinstance(source, NameFrom):
        return _name_getter(name, source)
    if isinstance(source, NumberFrom):
        bounds = FIELDS[name].bounds
        return _number_getter(name, source, bounds is not None and bounds.whole)
    return _text_getter(name, source) if isinstance(source, TextFrom) else None


def _once_a_record(get: _Getter) -> _Getter:
    """Read what all events of a record share once: a long text would cost its length for each of them."""
    last: tuple[object, object, object, Refusal | None] = (None, None, None, None)

    def get_once(site: _EventSite) -> object:
        nonlocal last
        record, root, value, refusal = last
        if site.record is not record or site.root is not root:
            value, refusal = None, None
            try:
                value = get(site)
            except Refusal as error:
                refusal = error
            last = site.record, site.root, value, refusal
        if refusal is not None:
            raise refusal.with_traceback(None)
        return value

    return get_once


def _at(value: object, path: Sequence[str]) -> object:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _path_getter(path: str) -> _Getter:
    steps = path.split(".")
    if steps[0] == OUTSIDE:
        outer = steps[1:]
        return lambda site: _at(site.root, outer)
    if len(steps) == 1:
        only = steps[0]
        return lambda site: site.event.get(only)
    return lambda site: _at(site.event, steps)


def _time_getter(name: str, source: TimeFrom) -> _Getter:
    get, unit = _path_getter(source.path), source.unit
    return lambda site: as_time(get(site), unit, name)


def _number_getter(name: str, source: NumberFrom, whole: bool) -> _Getter:
    if source.path is None:
        constant = source.constant
        return lambda site: constant
    get = _path_getter(source.path)
    if source.scale is not None:
        return _scaled_getter(name, get, source.scale)
    if whole:
        return lambda site: as_whole(get(site), name)
    return lambda site: as_number(get(site), name)


def _scaled_getter(name: str, get: _Getter, scale: float) -> _Getter:
    factor, divided = factor_of(scale)

    def get_scaled(site: _EventSite) -> object:
        number = as_number(get(site), name)
        if number is None:
            return None
        return number / factor if divided else number * factor

    return get_scaled


def _text_getter(name: str, source: TextFrom) -> _Getter:
    if source.path is None:
        constant = source.constant
        return lambda site: constant
    get = _path_getter(source.path)
    if source.map is None:
        return lambda site: as_text(get(site), name)
    table = source.map
    return lambda site: mapped(get(site), table, name)


def _name_getter(name: str, source: NameFrom) -> _Getter:
    if source.constant is not None:
        constant = source.constant
        return lambda site: constant
    get = _path_getter(source.path) if source.path is not None else _ORIGINS[source.origin or "topic"]
    make = name_maker(source, name)
    return lambda site: make(get(site))


def _record_key(site: _EventSite) -> object:
    key = site.record.key
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise Refusal(Reason.BAD_UTF8, f"the record's key, byte {error.start}: {error.reason}") from None


_ORIGINS: Mapping[str, _Getter] = MappingProxyType(
    {
        "topic": lambda site: site.context.topic,
        "file": lambda site: file_stem(site.context.topic),
        "key": _record_key,
    }
)


def _kind_getter(source: KindFrom) -> Callable[[_EventSite], tuple[str, bool]]:
    """A function to an event's kind and True, or, for an ignored event, to its name and False."""
    if source.path is None:
        constant = source.constant or ""
        return lambda site: (constant, True)
    get, path = _path_getter(source.path), source.path
    ignored = frozenset(source.ignore)
    table: Mapping[str, str] = source.map if source.map is not None else {kind: kind for kind in KIND_NAMES}

    def get_kind(site: _EventSite) -> tuple[str, bool]:
        value = get(site)
        key = map_key(value)
        if key is None:
            raise (
                missing(path) if value is None else Refusal(Reason.UNKNOWN_KIND, f"{path}: {brief(value)}")
            )
        if key in ignored:
            return key, False
        if key not in table:
            raise Refusal(Reason.UNKNOWN_KIND, f"{path}: {brief(value)} is neither mapped nor to be ignored")
        return table[key], True

    return get_kind
