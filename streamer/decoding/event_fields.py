"""The fields an event can have, by kind, with type, unit, bounds and members."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from streamer.messages.batch import Kind

PRICE_MAX = 1e12
"""Prices are in (0, 1e12], in the quote currency: no market exceeds that, and squares stay finite."""

SIZE_MAX = 1e15
"""Sizes are in [0, 1e15], in the instrument's base unit; price times size then stays below 1e27."""

VALUE_MAX = 1e100
"""A metric's value is in [-1e100, 1e100]: sums of its squares stay finite."""

SEQUENCE_MAX = 2**53
"""Sequence numbers are integers in [0, 2^53]: beyond that, float64 cannot tell neighbours apart."""

TIME_MAX_NS = 7_258_118_400_000_000_000
"""Times are in [0, 2200-01-01 UTC] in ns: adding any window or horizon stays within int64."""

TEXT_MAX_CHARS = 256
"""Maximum length of an event's texts, in characters."""

RECORD_MAX_BYTES = 1_048_576
"""Larger records are not decoded (1 MiB, about the brokers' default limit)."""

EVENTS_MAX = 10_000
"""Maximum number of events in one record; their index must fit int16."""

KindName = Literal["trade", "quote", "order", "status", "metric", "heartbeat"]
"""Kinds of events that come from outside."""

KIND_NAMES: tuple[str, ...] = get_args(KindName)
"""The same in the order of `Kind`."""

OrderSide = Literal["buy", "sell"]
AggressorSide = Literal[OrderSide, "none"]
Correction = Literal["none", "cancel", "correct"]
OrderAction = Literal["new", "replace", "cancel", "reject", "fill", "partial_fill", "expire"]
TradingState = Literal["pre_open", "trading", "halt", "pause", "close"]

SIDES: tuple[str, ...] = get_args(OrderSide)
AGGRESSOR_SIDES: tuple[str, ...] = get_args(AggressorSide)
CORRECTIONS: tuple[str, ...] = get_args(Correction)
ACTIONS: tuple[str, ...] = get_args(OrderAction)
STATES: tuple[str, ...] = get_args(TradingState)

ENUM_STRINGS: tuple[str, ...] = tuple(dict.fromkeys((*AGGRESSOR_SIDES, *CORRECTIONS, *ACTIONS, *STATES)))
"""The distinct enum members. Every batch's `strings` start with them, so their codes are constants."""

ENUM_CODES: Mapping[str, int] = MappingProxyType({text: code for code, text in enumerate(ENUM_STRINGS)})
"""The code of each enum member, the same in every batch."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The valid range of a number: from `low` (excluded if `above`) to `high`, integers only if `whole`."""

    low: float
    high: float
    above: bool = False
    whole: bool = False

    def __str__(self) -> str:
        """Interval notation, for messages.

        >>> str(Bounds(0.0, 1e12, above=True))
        '(0, 1e+12]'
        """
        return f"{'(' if self.above else '['}{self.low:g}, {self.high:g}]"


@dataclass(frozen=True, slots=True)
class EventField:
    """One field of the public schema.

    Parameters
    ----------
    name
        As in JSON, in a batch and in rules.
    kinds
        The kinds of event that can carry it.
    type
        ``number`` columns are float64, ``string`` and ``enum`` columns are codes.
    required
        The kinds that cannot be without it.
    bounds
        Of a number: which values are valid.
    members
        Of an enum: its texts.
    unit
        Of a number: ``price``, ``size``, ``money``, ``ns`` (since 1970 UTC) or ``plain``.
    """

    name: str
    kinds: frozenset[Kind]
    type: Literal["number", "string", "enum"]
    required: frozenset[Kind] = frozenset()
    bounds: Bounds | None = None
    members: tuple[str, ...] = ()
    unit: str = ""


_ALL = frozenset(Kind(number) for number in range(len(KIND_NAMES)))
_TRADE, _QUOTE, _ORDER = frozenset({Kind.TRADE}), frozenset({Kind.QUOTE}), frozenset({Kind.ORDER})
_STATUS, _METRIC = frozenset({Kind.STATUS}), frozenset({Kind.METRIC})

_PRICE = Bounds(0.0, PRICE_MAX, above=True)
_SIZE = Bounds(0.0, SIZE_MAX)


def _number(
    name: str, kinds: frozenset[Kind], bounds: Bounds, unit: str, required: frozenset[Kind] = frozenset()
) -> EventField:
    return EventField(name, kinds, "number", required, bounds=bounds, unit=unit)


def _enum(
    name: str, kinds: frozenset[Kind], members: tuple[str, ...], required: frozenset[Kind] = frozenset()
) -> EventField:
    return EventField(name, kinds, "enum", required, members=members)


_TABLE: tuple[EventField, ...] = (
    _number("ts_recv", _ALL, Bounds(0, TIME_MAX_NS, whole=True), "ns"),
    _number("sequence", _ALL, Bounds(0, SEQUENCE_MAX, whole=True), "plain"),
    EventField("event_id", _ALL, "string"),
    EventField("account_id", _ALL, "string"),
    EventField("trader_id", _ALL, "string"),
    EventField("trade_id", _TRADE, "string"),
    _number("price", _TRADE | _ORDER, _PRICE, "price", _TRADE),
    _number("size", _TRADE | _ORDER, _SIZE, "size", _TRADE | _ORDER),
    _enum("aggressor_side", _TRADE, AGGRESSOR_SIDES),
    EventField("buyer_account", _TRADE, "string"),
    EventField("seller_account", _TRADE, "string"),
    EventField("conditions", _TRADE, "string"),
    _enum("correction", _TRADE, CORRECTIONS),
    EventField("order_id", _ORDER, "string", _ORDER),
    _enum("action", _ORDER, ACTIONS, _ORDER),
    _enum("side", _ORDER, SIDES, _ORDER),
    _number("leaves_size", _ORDER, _SIZE, "size"),
    _number("last_size", _ORDER, _SIZE, "size"),
    EventField("reason", _ORDER, "string"),
    _number("bid_price", _QUOTE, _PRICE, "price", _QUOTE),
    _number("bid_size", _QUOTE, _SIZE, "size", _QUOTE),
    _number("ask_price", _QUOTE, _PRICE, "price", _QUOTE),
    _number("ask_size", _QUOTE, _SIZE, "size", _QUOTE),
    _enum("state", _STATUS, STATES, _STATUS),
    _number("value", _METRIC, Bounds(-VALUE_MAX, VALUE_MAX), "plain", _METRIC),
)

FIELDS: Mapping[str, EventField] = MappingProxyType({field.name: field for field in _TABLE})
"""All fields a batch can hold as columns, by name. `ts_recv` as float64 is accurate to 256 ns."""

NUMBER_FIELDS: tuple[str, ...] = tuple(field.name for field in _TABLE if field.type == "number")
"""Fields that are float64 columns in `Batch.numbers`."""

TEXT_FIELDS: tuple[str, ...] = tuple(field.name for field in _TABLE if field.type != "number")
"""Fields that are columns of codes in `Batch.texts`."""

FIELDS_BY_KIND: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        name: frozenset(field.name for field in _TABLE if Kind(number) in field.kinds)
        for number, name in enumerate(KIND_NAMES)
    }
)
"""The fields that events of each kind can have."""

REQUIRED_BY_KIND: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(field.name for field in _TABLE if Kind(number) in field.required)
        for number, name in enumerate(KIND_NAMES)
    }
)
"""The fields that events of each kind must have, in the schema's order."""


def kinds_with(fields: Collection[str]) -> set[Kind]:
    """The kinds whose required fields are all among these.

    Examples
    --------
    >>> kinds_with({"price", "size", "state"}) == {Kind.TRADE, Kind.STATUS, Kind.HEARTBEAT}
    True
    """
    return {
        Kind(number) for number, name in enumerate(KIND_NAMES) if set(REQUIRED_BY_KIND[name]) <= set(fields)
    }


@dataclass(frozen=True, slots=True)
class Derived:
    """A field computed from other fields of the same event, where all `inputs` are present."""

    field: EventField
    inputs: tuple[str, ...]


DERIVED: Mapping[str, Derived] = MappingProxyType(
    {"notional": Derived(EventField("notional", _TRADE, "number", unit="money"), ("price", "size"))}
)
"""Fields that rules and detectors may use besides `FIELDS`; the task computes them."""
