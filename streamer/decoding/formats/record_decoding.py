"""The slow path that all formats share: safe bytes in, validated events out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from streamer.decoding.batch_builder import BatchBuilder, EventHead
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import EVENTS_MAX
from streamer.decoding.event_schema import Envelope
from streamer.decoding.event_structs import LAYOUTS, AnyStruct, EventStruct
from streamer.decoding.json_text import admit
from streamer.decoding.name_rules import valid_names
from streamer.decoding.refusals import Refusal, decoder_error, unprintable, validated
from streamer.messages.batch import Decoded
from streamer.messages.records import NO_TIME, Record


@dataclass(frozen=True, slots=True)
class DecodeCall:
    """One call of `decode`: its records' context, and the builder that collects its results."""

    context: DecodeContext
    builder: BatchBuilder


EMPTY_LIST = "empty_list"
"""The name under which records that are empty lists are counted."""

TOMBSTONE = "tombstone"
"""The name under which null values are counted where they are ignored."""

_JSON_NULL = b"null"  # how tools write a tombstone into a file
_LARGE_BYTES = 1 << 16

DecodeOne = Callable[[bytes, Record, DecodeCall], None]


def decode_each(records: Sequence[Record], context: DecodeContext, decode_one: DecodeOne) -> Decoded:
    """Pass each record's bytes to `decode_one`, after checking that they are safe to parse.

    Parameters
    ----------
    records
        In order.
    context
        Their origin.
    decode_one
        Adds a record's events to the builder, or raises `Refusal` if the whole record fails.
    """
    builder = BatchBuilder(context.source)
    ignores_tombstones = TOMBSTONE in context.ignored
    call = DecodeCall(context, builder)
    for record in records:
        if ignores_tombstones and (record.value is None or record.value.strip() == _JSON_NULL):
            builder.ignore(TOMBSTONE)
        elif record.value is None or len(record.value) < _LARGE_BYTES:
            _decode_record(record, call, decode_one)
        else:
            with _no_cycle_search():
                _decode_record(record, call, decode_one)
    return builder.finish()


def _decode_record(record: Record, call: DecodeCall, decode_one: DecodeOne) -> None:
    before = len(call.builder)
    try:
        decode_one(admit(record.value), record, call)
    except Exception as error:  # noqa: BLE001 (the last resort)
        _refuse(error, record, 0, call.builder, before)


@contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Keep Python from looking for cycles among all objects, which lists by the hundred thousand set off.

    That would take a second for a record of 1 MiB; what is parsed of it has no cycles.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def _refuse(error: Exception, record: Record, index: int, builder: BatchBuilder, before: int) -> None:
    """Make a dead letter of a record or event that is refused, or on which the decoder failed.

    Whatever the exception, no record may end the service, or take others with it. The events from `before`
    on are taken back.
    """
    if isinstance(error, MemoryError):  # which says nothing about the record
        raise error
    if isinstance(error, Refusal):
        builder.refuse(record, index, error)
    else:
        builder.take_back(before)
        builder.refuse(record, index, decoder_error(error))


def decode_events(
    document: object, record: Record, call: DecodeCall, decode_event: Callable[[object, int], None]
) -> None:
    """Pass each element of a list, or anything else as a whole, to `decode_event`; each can fail alone.

    Raises
    ------
    Refusal
        If the list is too long.
    """
    events = document if isinstance(document, list) else [document]
    if not events:
        call.builder.ignore(EMPTY_LIST)
    if len(events) > EVENTS_MAX:
        raise Refusal(Reason.TOO_MANY_EVENTS, f"{len(events)} events, more than {EVENTS_MAX}")
    for index, event in enumerate(events):
        before = len(call.builder)
        try:
            decode_event(event, index)
        except Exception as error:  # noqa: BLE001 (the last resort)
            _refuse(error, record, index, call.builder, before)


def add_draft(draft: Mapping[str, object], record: Record, index: int, call: DecodeCall) -> None:
    """Validate an event given by the public schema's field names, and add it.

    Raises
    ------
    Refusal
        If it is invalid.
    """
    try:
        event: EventStruct = msgspec.convert(draft, AnyStruct)
    except msgspec.ValidationError:
        add_event(validated(draft), str(draft.get("event_type")), record, index, call)
        return
    add_event(event, str(draft["event_type"]), record, index, call)


def add_event(event: EventStruct | Envelope, kind: str, record: Record, index: int, call: DecodeCall) -> None:
    """Add an event with valid fields, after determining its venue and its time.

    Raises
    ------
    Refusal
        If there is no venue or no time, or a name cannot be printed.
    """
    venue = event.venue or call.context.venue
    if venue is None:
        raise no_venue()
    symbol = event.symbol
    if not valid_names(venue, symbol):
        raise unprintable("venue" if symbol.isprintable() else "symbol")
    ts = record.timestamp if event.ts_event is None else event.ts_event
    if ts == NO_TIME:
        raise no_time()
    layout = LAYOUTS[kind]
    call.builder.add(
        EventHead(layout.kind, venue, symbol, ts),
        record,
        index,
        zip(layout.numbers, layout.fetch_numbers(event), strict=True),
        zip(layout.texts, layout.fetch_texts(event), strict=True),
    )


def no_venue() -> Refusal:
    """The refusal of an event for which neither it nor its topic's settings name a venue."""
    return Refusal(Reason.NO_VENUE, "the event names no venue, and no venue is set for its topic or file")


def no_time() -> Refusal:
    """The refusal of an event without a time whose record has none either."""
    return Refusal(Reason.NO_TIME, "the event has no time, and its record no timestamp")


def as_object(value: object) -> dict[str, object]:
    """The fields of a JSON object.

    Raises
    ------
    Refusal
        If it is another JSON value.
    """
    if isinstance(value, dict):
        return value
    raise Refusal(Reason.NOT_AN_OBJECT, f"the event is {_json_name(value)}, not an object")


def _json_name(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
