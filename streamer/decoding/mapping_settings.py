"""A mapping of a user's own fields: the source of each field of each kind of event.

A plain text is a path (`data.price`, `levels.0.size`: keys of objects and indices of lists, joined by
dots); an object can specify more. If a record holds a list of events, `events` is its path; paths then
start at each event, or, with `^.`, at the record::

    format:
      event_type: {path: type, map: {match: trade}, ignore: [heartbeat]}
      symbol: product_id
      ts_event: {path: time, unit: iso}
      trade:
        price: price
        size: {path: qty, scale: 1e-8}
        aggressor_side: {path: m, map: {true: sell, false: buy}}
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import StrictStr

from streamer.decoding.event_fields import ACTIONS, AGGRESSOR_SIDES, CORRECTIONS, SIDES, STATES
from streamer.decoding.mapping_parts import (
    KindFrom,
    MappingPart,
    NameFrom,
    NumberFrom,
    Path,
    TextFrom,
    TimeFrom,
    only,
)


class EnvelopeMapping(MappingPart):
    """Fields of every kind; given in a kind's own section they hold for that kind only."""

    venue: NameFrom | None = None
    symbol: NameFrom | None = None
    ts_event: TimeFrom | None = None
    ts_recv: TimeFrom | None = None
    sequence: NumberFrom | None = None
    event_id: TextFrom | None = None
    account_id: TextFrom | None = None
    trader_id: TextFrom | None = None


class TradeMapping(EnvelopeMapping):
    """Where a trade's fields come from."""

    price: NumberFrom
    size: NumberFrom
    trade_id: TextFrom | None = None
    aggressor_side: Annotated[TextFrom, only(AGGRESSOR_SIDES)] | None = None
    buyer_account: TextFrom | None = None
    seller_account: TextFrom | None = None
    conditions: TextFrom | None = None
    correction: Annotated[TextFrom, only(CORRECTIONS)] | None = None


class QuoteMapping(EnvelopeMapping):
    """Where a quote's fields come from."""

    bid_price: NumberFrom
    bid_size: NumberFrom
    ask_price: NumberFrom
    ask_size: NumberFrom


class OrderMapping(EnvelopeMapping):
    """Where an order's fields come from."""

    order_id: TextFrom
    action: Annotated[TextFrom, only(ACTIONS)]
    side: Annotated[TextFrom, only(SIDES)]
    size: NumberFrom
    price: NumberFrom | None = None
    leaves_size: NumberFrom | None = None
    last_size: NumberFrom | None = None
    reason: TextFrom | None = None


class StatusMapping(EnvelopeMapping):
    """Where the state of trading comes from."""

    state: Annotated[TextFrom, only(STATES)]


class MetricMapping(EnvelopeMapping):
    """Where a metric's value comes from."""

    value: NumberFrom


class HeartbeatMapping(EnvelopeMapping):
    """A heartbeat has the envelope only."""


class MappingSettings(EnvelopeMapping):
    """What a format is made of: a preset's name, and for ``generic`` where the fields come from."""

    preset: StrictStr = "generic"
    events: Path | None = None
    event_type: KindFrom | None = None
    trade: TradeMapping | None = None
    quote: QuoteMapping | None = None
    order: OrderMapping | None = None
    status: StatusMapping | None = None
    metric: MetricMapping | None = None
    heartbeat: HeartbeatMapping | None = None

    def document(self) -> dict[str, Any] | str:
        """The settings in their shortest form, from which `model_validate` restores them.

        >>> MappingSettings(preset="tapewatch").document()
        'tapewatch'
        """
        if self.preset != "generic":
            return self.preset
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
