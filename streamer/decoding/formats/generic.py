"""A user's own JSON, by a mapping that says for each field where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from streamer.decoding.column_decoding import DecodedColumns, decoded
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import FIELDS, KIND_NAMES
from streamer.decoding.formats.generic_columns import generic_columns
from streamer.decoding.formats.generic_values import factor_of, file_stem, mapped, name_maker
from streamer.decoding.formats.record_decoding import DecodeCall, add_draft, an_object, read, read_each
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
from streamer.decoding.refusals import Refused, missing, shown
from streamer.decoding.value_parsing import as_number, as_text, as_time, as_whole
from streamer.messages.batch import Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record


class _Place(NamedTuple):
    """One event as it was found, and what surrounds it: the record's whole JSON, the record, its topic."""

    event: dict[str, object]
    whole: object
    record: Record
    context: DecodeContext


_Take = Callable[[_Place], object]


class GenericFormat:
    """Events out of a user's own JSON.

    Parameters
    ----------
    settings
        The mapping.

    Examples
    --------
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
        self._kind = _kind_taker(settings.event_type)
        self._kind_outside = (settings.event_type.path or "").startswith(f"{OUTSIDE}.")
        sections = {kind: getattr(settings, kind) for kind in KIND_NAMES}
        named = settings.event_type.kinds() or [kind for kind in sections if sections[kind] is not None]
        merged = {kind: _merged(settings, sections[kind]) for kind in named}
        self._takers = {kind: tuple(_takers(fields)) for kind, fields in merged.items()}
        self.provides: Mapping[str, frozenset[str]] = MappingProxyType(
            {kind: frozenset(fields) & FIELDS.keys() for kind, fields in merged.items()}
        )
        self.needs_venue = any("venue" not in fields for fields in merged.values())
        self._columns = generic_columns(settings.event_type, merged, listed=self._events is not None)

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """What kernels make of a block; see `Format.columns`."""
        return None if self._columns is None else self._columns.read(block, context)

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """The events of the records; see `Format.decode`."""
        return decoded(
            records,
            context.source,
            lambda block: self.columns(block, context),
            lambda some: read(some, context, self._read_one),
        )

    def _read_one(self, value: bytes, record: Record, reading: DecodeCall) -> None:
        whole = found = parse(value)
        if self._events is not None:
            outer = an_object(whole)
            if self._kind_outside and self._ignores(_Place(outer, outer, record, reading.context), reading):
                return
            found = _at(outer, self._events)
            if found is None:
                raise missing(".".join(self._events))

        def read_event(one: object, index: int) -> None:
            place = _Place(an_object(one), whole, record, reading.context)
            if not self._ignores(place, reading):
                add_draft(self._draft(place), record, index, reading)

        read_each(found, record, reading, read_event)

    def _ignores(self, place: _Place, reading: DecodeCall) -> bool:
        kind, used = self._kind(place)
        if not used:
            reading.builder.ignore(kind)
        return not used

    def _draft(self, place: _Place) -> dict[str, object]:
        kind, _ = self._kind(place)
        takers = self._takers.get(kind)
        if takers is None:
            raise Refused(Reason.UNKNOWN_KIND, f"event_type: {shown(kind)} has no section in the mapping")
        draft: dict[str, object] = {"event_type": kind}
        for name, take in takers:
            draft[name] = take(place)
        return draft


def _merged(settings: MappingSettings, section: EnvelopeMapping | None) -> dict[str, object]:
    """A kind's fields and what they come from: the section's own word goes before the envelope's."""
    names = [*EnvelopeMapping.model_fields, *([] if section is None else type(section).model_fields)]
    found: dict[str, object] = {}
    for name in dict.fromkeys(names):
        own = getattr(section, name, None)
        given = own if own is not None else getattr(settings, name, None)
        if given is not None:
            found[name] = given
    return found


def _takers(fields: Mapping[str, object]) -> list[tuple[str, _Take]]:
    found: list[tuple[str, _Take]] = []
    for name, given in fields.items():
        if isinstance(given, TimeFrom):
            found.append((name, _time_taker(name, given)))
        elif isinstance(given, NameFrom):
            found.append((name, _name_taker(name, given)))
        elif isinstance(given, NumberFrom):
            bounds = FIELDS[name].bounds
            found.append((name, _number_taker(name, given, bounds is not None and bounds.whole)))
        elif isinstance(given, TextFrom):
            found.append((name, _text_taker(name, given)))
    return found


def _at(found: object, path: Sequence[str]) -> object:
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def _finder(path: str) -> _Take:
    steps = path.split(".")
    if steps[0] == OUTSIDE:
        outer = steps[1:]
        return lambda place: _at(place.whole, outer)
    if len(steps) == 1:
        only = steps[0]
        return lambda place: place.event.get(only)
    return lambda place: _at(place.event, steps)


def _time_taker(name: str, given: TimeFrom) -> _Take:
    find, unit = _finder(given.path), given.unit
    return lambda place: as_time(find(place), unit, name)


def _number_taker(name: str, given: NumberFrom, whole: bool) -> _Take:
    if given.path is None:
        constant = given.constant
        return lambda place: constant
    find = _finder(given.path)
    if given.scale is not None:
        return _scaled_taker(name, find, given.scale)
    if whole:
        return lambda place: as_whole(find(place), name)
    return lambda place: as_number(find(place), name)


def _scaled_taker(name: str, find: _Take, scale: float) -> _Take:
    factor, divided = factor_of(scale)

    def take(place: _Place) -> object:
        number = as_number(find(place), name)
        if number is None:
            return None
        return number / factor if divided else number * factor

    return take


def _text_taker(name: str, given: TextFrom) -> _Take:
    if given.path is None:
        constant = given.constant
        return lambda place: constant
    find = _finder(given.path)
    if given.map is None:
        return lambda place: as_text(find(place), name)
    table = given.map
    return lambda place: mapped(find(place), table, name)


def _name_taker(name: str, given: NameFrom) -> _Take:
    if given.constant is not None:
        constant = given.constant
        return lambda place: constant
    find = _finder(given.path) if given.path is not None else _ORIGINS[given.origin or "topic"]
    make = name_maker(given, name)
    return lambda place: make(find(place))


def _of_key(place: _Place) -> object:
    key = place.record.key
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError as error:
        raise Refused(Reason.BAD_UTF8, f"the record's key, byte {error.start}: {error.reason}") from None


_ORIGINS: Mapping[str, _Take] = MappingProxyType(
    {
        "topic": lambda place: place.context.topic,
        "file": lambda place: file_stem(place.context.topic),
        "key": _of_key,
    }
)


def _kind_taker(given: KindFrom) -> Callable[[_Place], tuple[str, bool]]:
    """What gives an event's kind, or the name it is counted by and False."""
    if given.path is None:
        constant = given.constant or ""
        return lambda place: (constant, True)
    find, path = _finder(given.path), given.path
    ignored = frozenset(given.ignore)
    table: Mapping[str, str] = given.map if given.map is not None else {kind: kind for kind in KIND_NAMES}

    def take(place: _Place) -> tuple[str, bool]:
        value = find(place)
        key = map_key(value)
        if key is None:
            raise missing(path) if value is None else Refused(Reason.UNKNOWN_KIND, f"{path}: {shown(value)}")
        if key in ignored:
            return key, False
        if key not in table:
            raise Refused(Reason.UNKNOWN_KIND, f"{path}: {shown(value)} is neither mapped nor to be ignored")
        return table[key], True

    return take
