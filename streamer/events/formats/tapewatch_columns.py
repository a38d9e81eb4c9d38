"""The public schema by columns: where its fields lie."""

from __future__ import annotations

from streamer.events.fields import FIELDS, FIELDS_BY_KIND, KIND_NAMES, Field
from streamer.events.scanned.wanted import (
    EventPlan,
    Kinds,
    Name,
    Number,
    Source,
    Text,
    Time,
    Wanted,
    Whole,
    Words,
)


def tapewatch_plan() -> EventPlan:
    """Each field under its own name, and of its own type only."""
    symbol, venue = Name(("symbol",)), Name(("venue",))
    time = Time(("ts_event",), "ns", may_be_text=False)
    wanted = {
        kind: Wanted(
            symbol,
            venue,
            time,
            {name: _source(field) for name, field in FIELDS.items() if name in FIELDS_BY_KIND[kind]},
        )
        for kind in KIND_NAMES
    }
    return EventPlan(Kinds(("event_type",), {kind: kind for kind in KIND_NAMES}), wanted)


def _source(field: Field) -> Source:
    path = (field.name,)
    if field.members:
        return Words(path, {member: member for member in field.members}, loose=False)
    if field.bounds is None:
        return Text(path, loose=False)
    if field.bounds.whole:
        return Whole(path, may_be_text=False)
    return Number(path, may_be_text=False)
