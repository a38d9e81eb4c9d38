"""The slow path that all formats share: safe bytes in, validated events out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from streamer.decoding.refusals import Refusal, unprintable, validated
from streamer.messages.batch import Decoded
from streamer.messages.records import NO_TIME, Record


@dataclass(frozen=True, slots=True)
class DecodeCall:
    """One call of `decode`: its records' context, and the builder that collects its results."""

    context: DecodeContext
    builder: BatchBuilder


EMPTY_LIST = "empty_list"
"""The name under which records that are empty lists are counted."""

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
    call = DecodeCall(context, builder)
    for record in records:
        try:
            decode_one(admit(record.value), record, call)
        except Refusal as refusal:
            builder.refuse(record, 0, refusal)
    return builder.finish()


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
        try:
            decode_event(event, index)
        except Refusal as refusal:
            call.builder.refuse(record, index, refusal)


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
