"""The public event schema as pydantic models: what a record may hold, and what is refused.

Numbers are JSON numbers, times are integers in ns since 1970 UTC. Unknown fields are ignored, and null
means that a field is absent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from streamer.decoding.event_fields import (
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


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("unprintable", "has characters that cannot be printed")
    return text


Price = Annotated[float, Field(gt=0, le=PRICE_MAX)]
Size = Annotated[float, Field(ge=0, le=SIZE_MAX)]
Value = Annotated[float, Field(ge=-VALUE_MAX, le=VALUE_MAX)]
Sequence = Annotated[int, Field(ge=0, le=SEQUENCE_MAX)]
Nanoseconds = Annotated[int, Field(ge=0, le=TIME_MAX_NS)]
Text = Annotated[str, Field(max_length=TEXT_MAX_CHARS)]
Name = Annotated[str, Field(min_length=1, max_length=TEXT_MAX_CHARS), AfterValidator(_printable)]


class Envelope(BaseModel):
    """What every event has.

    Parameters
    ----------
    event_type
        The kind of event.
    venue
        Where it is traded; where absent, the topic's or the file's `venue` setting holds.
    symbol
        What is traded there.
    ts_event
        When it happened, ns since 1970 UTC; where absent, the record's timestamp.
    ts_recv
        When it was received, ns since 1970 UTC.
    sequence
        The feed's own number for it.
    event_id, account_id, trader_id
        The event's identity, and the account and trader it belongs to.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    event_type: str
    venue: Name | None = None
    symbol: Name
    ts_event: Nanoseconds | None = None
    ts_recv: Nanoseconds | None = None
    sequence: Sequence | None = None
    event_id: Text | None = None
    account_id: Text | None = None
    trader_id: Text | None = None


class Trade(Envelope):
    """An execution: price in (0, 1e12], size in [0, 1e15]; `aggressor_side` is who crossed the spread."""

    event_type: Literal["trade"]
    price: Price
    size: Size
    trade_id: Text | None = None
    aggressor_side: AggressorSide | None = None
    buyer_account: Text | None = None
    seller_account: Text | None = None
    conditions: Text | None = None
    correction: Correction | None = None


class Quote(Envelope):
    """The best bid and ask."""

    event_type: Literal["quote"]
    bid_price: Price
    bid_size: Size
    ask_price: Price
    ask_size: Size


class Order(Envelope):
    """What happened to an order; `price` is absent for a market order."""

    event_type: Literal["order"]
    order_id: Text
    action: OrderAction
    side: OrderSide
    size: Size
    price: Price | None = None
    leaves_size: Size | None = None
    last_size: Size | None = None
    reason: Text | None = None


class Status(Envelope):
    """The state of trading in an instrument."""

    event_type: Literal["status"]
    state: TradingState


class Metric(Envelope):
    """Any number worth watching, in [-1e100, 1e100]."""

    event_type: Literal["metric"]
    value: Value


class Heartbeat(Envelope):
    """A sign of life of the feed."""

    event_type: Literal["heartbeat"]


Event = Annotated[Trade | Quote | Order | Status | Metric | Heartbeat, Field(discriminator="event_type")]
"""Any event, told apart by `event_type`."""

EVENT: TypeAdapter[Trade | Quote | Order | Status | Metric | Heartbeat] = TypeAdapter(Event)
"""Validates events.

>>> EVENT.validate_json('{"event_type": "metric", "symbol": "BTCUSDT", "value": 0.5}').value
0.5
"""


def json_schema() -> dict[str, Any]:
    """The public event schema as JSON Schema (draft 2020-12).

    >>> sorted(json_schema()["discriminator"]["mapping"])
    ['heartbeat', 'metric', 'order', 'quote', 'status', 'trade']
    """
    schema = EVENT.json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A tapewatch event",
        "description": "A record holds one event, or a list of them.",
        **schema,
    }
