"""Events in the public schema as hypothesis makes them: sound ones, and ones with a fault."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from streamer.decoding.event_fields import FIELDS, FIELDS_BY_KIND, KIND_NAMES, REQUIRED_BY_KIND, TIME_MAX_NS

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
texts = st.text(max_size=30)
times = st.integers(0, TIME_MAX_NS)


def field_values(name: str) -> st.SearchStrategy[Any]:
    field = FIELDS[name]
    if field.bounds is not None:
        low, high = field.bounds.low, field.bounds.high
        if field.bounds.whole:
            return st.integers(int(low), int(high))
        floats = st.floats(low, high, exclude_min=field.bounds.above)
        return floats | st.integers(max(1, int(low)), 10**9) | st.sampled_from((high, high / 3))
    return st.sampled_from(field.members) if field.members else texts


@st.composite
def sound_events(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(KIND_NAMES))
    event: dict[str, Any] = {"event_type": kind, "symbol": draw(names)}
    for name in sorted(FIELDS_BY_KIND[kind]):
        if name in REQUIRED_BY_KIND[kind] or draw(st.booleans()):
            event[name] = draw(field_values(name))
    for name, strategy in (("venue", names), ("ts_event", times)):
        if draw(st.booleans()):
            event[name] = draw(strategy)
    if draw(st.booleans()):
        event["no_such_field"] = draw(st.none() | st.integers() | st.lists(texts, max_size=3))
    return event


strange_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from((10**15, 10**16, 10**20, 2**53, 2**53 + 1, 2**63, 2**64, -1, 0, 10**400, -(10**400)))
    | st.floats()
    | st.sampled_from((1e12, 1.0000000001e12, 1e15, 1e100, 1.1e100, 1e300, 5e-324, -0.0, 5.0))
    | st.text(max_size=5)
    | st.sampled_from(
        ("1", "buy", "cancel", "x" * 256, "x" * 257, "Ж" * 256, "a\x00b", "\u202e", "\U0001f680", " ")
    )
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
)


@st.composite
def strange_events(draw: st.DrawFn) -> dict[str, Any]:
    """A sound event in which some fields are replaced or removed."""
    event = draw(sound_events())
    possible = sorted({*event, *FIELDS, "venue", "ts_event", "symbol"})
    for name in draw(st.lists(st.sampled_from(possible), min_size=1, max_size=2)):
        if draw(st.booleans()):
            event[name] = draw(strange_values)
        else:
            event.pop(name, None)
    return event
