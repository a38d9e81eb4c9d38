"""The public event schema as msgspec structs, which decode faster than the pydantic models.

They accept exactly what `streamer.decoding.event_schema` accepts (checked by a property test); when they
refuse an event, `streamer.decoding.refusals` uses the models to find the reason.
"""

from __future__ import annotations

from operator import attrgetter
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, Struct

from streamer.decoding.event_fields import (
    FIELDS,
    FIELDS_BY_KIND,
    KIND_NAMES,
    PRICE_MAX,
    SEQUENCE_MAX,
    SIZE_MAX,
    TEXT_MAX_CHARS,
    TIME_MAX_NS,
    VALUE_MAX,
    AggressorSide,
    Correction,
    OrderAction,
    OrderSide,
    TradingState,
)

Price = Annotated[float, Meta(gt=0.0, le=PRICE_MAX)]
Size = Annotated[float, Meta(ge=0.0, le=SIZE_MAX)]
Value = Annotated[float, Meta(ge=-VALUE_MAX, le=VALUE_MAX)]
Sequence = Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]
Nanoseconds = Annotated[int, Meta(ge=0, le=TIME_MAX_NS)]
Text = Annotated[str, Meta(max_length=TEXT_MAX_CHARS)]
Name = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)]


class EventStruct(Struct, kw_only=True, gc=False, tag_field="event_type"):
    """What every event has."""

    venue: Name | None = None
    symbol: Name
    ts_event: Nanoseconds | None = None
    ts_recv: Nanoseconds | None = None
    sequence: Sequence | None = None
    event_id: Text | None = None
    account_id: Text | None = None
    trader_id: Text | None = None


class TradeStruct(EventStruct, kw_only=True, gc=False, tag="trade"):
    """An execution."""

    price: Price
    size: Size
    trade_id: Text | None = None
    aggressor_side: AggressorSide | None = None
    buyer_account: Text | None = None
    seller_account: Text | None = None
    conditions: Text | None = None
    correction: Correction | None = None


class QuoteStruct(EventStruct, kw_only=True, gc=False, tag="quote"):
    """The best bid and ask."""

    bid_price: Price
    bid_size: Size
    ask_price: Price
    ask_size: Size


class OrderStruct(EventStruct, kw_only=True, gc=False, tag="order"):
    """What happened to an order."""

    order_id: Text
    action: OrderAction
    side: OrderSide
    size: Size
    price: Price | None = None
    leaves_size: Size | None = None
    last_size: Size | None = None
    reason: Text | None = None


class StatusStruct(EventStruct, kw_only=True, gc=False, tag="status"):
    """The state of trading in an instrument."""

    state: TradingState


class MetricStruct(EventStruct, kw_only=True, gc=False, tag="metric"):
    """Any number worth watching."""

    value: Value


class HeartbeatStruct(EventStruct, kw_only=True, gc=False, tag="heartbeat"):
    """A sign of life of the feed."""


AnyStruct = TradeStruct | QuoteStruct | OrderStruct | StatusStruct | MetricStruct | HeartbeatStruct


def _names(kind: str, *, numbers: bool) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in FIELDS.values()
        if field.name in FIELDS_BY_KIND[kind] and (field.type == "number") == numbers
    )


class Layout:
    """The number and text columns of a kind's events: their names, and getters for a struct's values."""

    def __init__(self, kind: str) -> None:
        self.kind = KIND_NAMES.index(kind)
        self.numbers = _names(kind, numbers=True)
        self.texts = _names(kind, numbers=False)
        self.fetch_numbers = attrgetter(*self.numbers)
        self.fetch_texts = attrgetter(*self.texts)


LAYOUTS = MappingProxyType({kind: Layout(kind) for kind in KIND_NAMES})
"""By kind name."""
