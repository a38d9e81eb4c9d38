"""What decoding has in common in every format: safe bytes in, checked events out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from streamer.decoding.batch_builder import BatchBuilder
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import EVENTS_MAX
from streamer.decoding.event_schema import Envelope
from streamer.decoding.event_structs import LAYOUTS, AnyStruct, EventStruct
from streamer.decoding.json_text import admit
from streamer.decoding.name_rules import valid_names
from streamer.decoding.refusals import Refused, checked, unprintable
from streamer.messages.batch import Decoded
from streamer.messages.records import NO_TIME, Record


@dataclass(frozen=True, slots=True)
class DecodeCall:
    """One call of `decode`: where it stands, and what collects its results."""

    context: DecodeContext
    builder: BatchBuilder


EMPTY_LIST = "empty_list"
"""Under this name a record that is a list of no events is counted."""

ReadOne = Callable[[bytes, Record, DecodeCall], None]


def read(records: Sequence[Record], context: DecodeContext, read_one: ReadOne) -> Decoded:
    """Give each record's bytes to `read_one` once they are safe to parse.

    Parameters
    ----------
    records
        In order.
    context
        What surrounds them.
    read_one
        Adds a record's events to the builder, or raises `Refused` where the whole record fails.
    """
    builder = BatchBuilder(context.source)
    reading = DecodeCall(context, builder)
    for record in records:
        try:
            read_one(admit(record.value), record, reading)
        except Refused as refused:
            builder.refuse(record, 0, refused)
    return builder.finish()


def read_each(
    found: object, record: Record, reading: DecodeCall, read_event: Callable[[object, int], None]
) -> None:
    """Give the elements of a list, or what is no list as it is, to `read_event`, each failing alone.

    Raises
    ------
    Refused
        Where the list is too long.
    """
    events = found if isinstance(found, list) else [found]
    if not events:
        reading.builder.ignore(EMPTY_LIST)
    if len(events) > EVENTS_MAX:
        raise Refused(Reason.TOO_MANY_EVENTS, f"{len(events)} events, more than {EVENTS_MAX}")
    for index, event in enumerate(events):
        try:
            read_event(event, index)
        except Refused as refused:
            reading.builder.refuse(record, index, refused)


def add_draft(draft: Mapping[str, object], record: Record, index: int, reading: DecodeCall) -> None:
    """Check an event given by the public schema's field names, and add it.

    Raises
    ------
    Refused
        With what is wrong with it.
    """
    try:
        event: EventStruct = msgspec.convert(draft, AnyStruct)
    except msgspec.ValidationError:
        add_event(checked(draft), str(draft.get("event_type")), record, index, reading)
        return
    add_event(event, str(draft["event_type"]), record, index, reading)


def add_event(
    event: EventStruct | Envelope, kind: str, record: Record, index: int, reading: DecodeCall
) -> None:
    """Add an event whose fields are valid, once its venue, its names and its time are settled.

    Raises
    ------
    Refused
        Where there is no venue or no time, or a name cannot be printed.
    """
    venue = event.venue or reading.context.venue
    if venue is None:
        raise no_venue()
    symbol = event.symbol
    if not valid_names(venue, symbol):
        raise unprintable("venue" if symbol.isprintable() else "symbol")
    ts = record.timestamp if event.ts_event is None else event.ts_event
    if ts == NO_TIME:
        raise no_time()
    layout = LAYOUTS[kind]
    reading.builder.add(
        layout.kind,
        venue,
        symbol,
        ts,
        record,
        index,
        zip(layout.numbers, layout.fetch_numbers(event), strict=True),
        zip(layout.texts, layout.fetch_texts(event), strict=True),
    )


def no_venue() -> Refused:
    """Neither the event nor the settings of its topic name a venue."""
    return Refused(Reason.NO_VENUE, "the event names no venue, and no venue is set for its topic or file")


def no_time() -> Refused:
    """Neither the event nor its record has a time."""
    return Refused(Reason.NO_TIME, "the event has no time, and its record no timestamp")


def an_object(found: object) -> dict[str, object]:
    """The fields of a JSON object.

    Raises
    ------
    Refused
        Where it is another JSON value.
    """
    if isinstance(found, dict):
        return found
    raise Refused(Reason.NOT_AN_OBJECT, f"the event is {_json_name(found)}, not an object")


def _json_name(found: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(found), "a number")
