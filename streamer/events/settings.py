"""How a user says what records look like: the name of a preset, or a mapping of their own fields.

A mapping says for each field where it comes from. A plain text is a path (`data.price`, `levels.0.size`:
names of objects and positions in lists, joined by dots); an object can say more. Where a record holds a
list of events, `events` is its path; paths then start at each event, or with `^.` at the record::

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

from typing import Annotated, Any, Self

from pydantic import GetJsonSchemaHandler, StrictStr, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from streamer.events.fields import ACTIONS, AGGRESSOR_SIDES, CORRECTIONS, KIND_NAMES, SIDES, STATES
from streamer.events.mapping import (
    KindFrom,
    MappingPart,
    NameFrom,
    NumberFrom,
    Path,
    TextFrom,
    TimeFrom,
    only,
)


def _known_preset(preset: str) -> str:
    from streamer.events.formats import FORMATS

    if preset not in FORMATS:
        msg = f"{preset!r} is none of the presets {', '.join(sorted(FORMATS))}"
        raise ValueError(msg)
    return preset


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


class FormatSettings(EnvelopeMapping):
    """How records become events: a preset's name, or a mapping (preset ``generic``).

    Raises
    ------
    pydantic.ValidationError
        For an unknown preset, a field mapped twice or not at all, a time without a unit.

    Examples
    --------
    >>> FormatSettings.model_validate("binance").preset
    'binance'
    >>> own = {"event_type": "trade", "symbol": {"from": "topic"}, "trade": {"price": "p", "size": "q"}}
    >>> FormatSettings.model_validate(own).event_type.kinds()
    ('trade',)
    """

    preset: StrictStr = "generic"
    events: Path | None = None
    event_type: KindFrom | None = None
    trade: TradeMapping | None = None
    quote: QuoteMapping | None = None
    order: OrderMapping | None = None
    status: StatusMapping | None = None
    metric: MetricMapping | None = None
    heartbeat: HeartbeatMapping | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        return {"preset": _known_preset(given)} if isinstance(given, str) else given

    @field_validator("preset")
    @classmethod
    def _known(cls, preset: str) -> str:
        return _known_preset(preset)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.preset == "generic":
            self._check_mapping()
            return self
        extra = sorted(self.model_fields_set - {"preset"})
        if extra:
            msg = f"the preset {self.preset} knows its fields: leave out {', '.join(extra)}"
            raise ValueError(msg)
        return self

    def _check_mapping(self) -> None:
        if self.event_type is None:
            msg = "event_type is missing: name a kind, such as trade, or give a path and a map"
            raise ValueError(msg)
        sections = [kind for kind in KIND_NAMES if getattr(self, kind) is not None]
        named = self.event_type.kinds()
        for kind in named:
            if kind not in sections and kind != "heartbeat":
                msg = f"events can be of kind {kind}, so a section {kind} must say where its fields come from"
                raise ValueError(msg)
        for kind in sections:
            if named and kind not in named:
                msg = f"there is a section {kind}, but event_type never gives {kind}"
                raise ValueError(msg)
        if not named and not sections:
            msg = "a section must say where fields come from: trade, quote, order, status or metric"
            raise ValueError(msg)
        for kind in named or sections:
            section = getattr(self, kind)
            if self.symbol is None and (section is None or section.symbol is None):
                msg = "symbol is missing: give a path, {from: topic}, {from: key}, {from: file} or a constant"
                raise ValueError(msg)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Admit a preset's plain name in the exported schema, too."""
        from streamer.events.formats import FORMATS

        full = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"enum": sorted(FORMATS), "description": "a preset"}, full]}

    def document(self) -> dict[str, Any] | str:
        """The settings in their shortest form: what `model_validate` makes the same settings of.

        >>> FormatSettings.model_validate("tapewatch").document()
        'tapewatch'
        """
        if self.preset != "generic":
            return self.preset
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
