"""The public schema as a plan for the kernels."""

from __future__ import annotations

from streamer.decoding.columns.event_plan import (
    EnumSource,
    EventPlan,
    EventSources,
    FieldSource,
    IntegerSource,
    KindSource,
    NameSource,
    NumberSource,
    PlainTextSource,
    TimeSource,
)
from streamer.decoding.event_fields import FIELDS, FIELDS_BY_KIND, KIND_NAMES, EventField


def tapewatch_plan() -> EventPlan:
    """The plan: each field under its own name, and of its own type only."""
    symbol, venue = NameSource(("symbol",)), NameSource(("venue",))
    time = TimeSource(("ts_event",), "ns", may_be_text=False)
    sources = {
        kind: EventSources(
            symbol,
            venue,
            time,
            {name: _source(field) for name, field in FIELDS.items() if name in FIELDS_BY_KIND[kind]},
        )
        for kind in KIND_NAMES
    }
    return EventPlan(KindSource(("event_type",), {kind: kind for kind in KIND_NAMES}), sources)


def _source(field: EventField) -> FieldSource:
    path = (field.name,)
    if field.members:
        return EnumSource(path, {member: member for member in field.members}, loose=False)
    if field.bounds is None:
        return PlainTextSource(path, loose=False)
    if field.bounds.whole:
        return IntegerSource(path, may_be_text=False)
    return NumberSource(path, may_be_text=False)
