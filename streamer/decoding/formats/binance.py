"""Binance's market streams: trade, aggTrade and bookTicker, bare or in the combined streams' envelope.

Prices and sizes are decimal strings, times are in ms. `m` true means that the buyer is the maker, so the
seller is the aggressor. Spot's bookTicker has no time and gets its record's. Other messages that Binance is
known to send are counted by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from streamer.decoding.batch_builder import EventHead
from streamer.decoding.column_decoding import DecodedColumns, decode_records
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import PRICE_MAX, SIZE_MAX, TIME_MAX_NS
from streamer.decoding.formats.binance_columns import BinanceColumns
from streamer.decoding.formats.record_decoding import (
    DecodeCall,
    add_draft,
    as_object,
    decode_each,
    decode_events,
)
from streamer.decoding.json_text import parse
from streamer.decoding.mapping_settings import MappingSettings
from streamer.decoding.name_rules import valid_names
from streamer.decoding.refusals import Refusal, brief, missing
from streamer.decoding.value_parsing import NS_PER, as_number, as_text, as_time
from streamer.messages.batch import Decoded, Kind
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Record

IGNORED: frozenset[str] = frozenset(
    {
        "depthUpdate", "kline", "continuous_kline", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker",
        "1dTicker", "avgPrice", "markPriceUpdate", "indexPriceUpdate", "forceOrder", "compositeIndex",
        "contractInfo", "assetIndexUpdate", "serverShutdown", "eventStreamTerminated", "listenKeyExpired",
        "executionReport", "outboundAccountPosition", "balanceUpdate", "listStatus", "ACCOUNT_UPDATE",
        "ORDER_TRADE_UPDATE", "TRADE_LITE", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE",
    }
)  # fmt: skip
"""Values of ``e`` that are only counted."""

_MIN_BLOCK = 36  # the slow path is quick here
_PROBED_BYTES = 160  # Binance sends the stream's name and the kind first
_NS_PER_MS = NS_PER["ms"]
_TIME_MAX_MS = TIME_MAX_NS // _NS_PER_MS
_BOOK_KEYS = frozenset({"b", "B", "a", "A"})
_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)


class _TradeMessage(Struct, gc=False, tag_field="e", tag="trade"):
    s: str
    p: float
    q: float
    id: Any = field(name="t")
    T: Any
    m: Any


class _AggTrade(Struct, gc=False, tag_field="e", tag="aggTrade"):
    s: str
    p: float
    q: float
    id: Any = field(name="a")
    T: Any
    m: Any


class _BookMessage(Struct, gc=False):
    s: str
    b: float
    B: float
    a: float
    A: float
    e: Literal["bookTicker"] = "bookTicker"
    T: Any = None
    E: Any = None


class _Depth(Struct, gc=False, tag_field="e", tag="depthUpdate"):
    pass


class _TradeEnvelope(Struct, gc=False):
    data: _TradeMessage


class _AggTradeEnvelope(Struct, gc=False):
    data: _AggTrade


class _BookEnvelope(Struct, gc=False):
    data: _BookMessage


class _DepthEnvelope(Struct, gc=False):
    data: _Depth


class _Decoders:
    """A decoder for each kind; numbers may be strings."""

    def __init__(
        self,
        book: type[_BookMessage | _BookEnvelope],
        trade: type[_TradeMessage | _TradeEnvelope],
        agg_trade: type[_AggTrade | _AggTradeEnvelope],
        depth: type[_Depth | _DepthEnvelope],
    ) -> None:
        self.book = _decoder(book)
        self.trade = _decoder(trade)
        self.agg_trade = _decoder(agg_trade)
        self.depth = _decoder(depth)


def _decoder(message: type[Struct]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(message, strict=False).decode


class BinanceFormat:
    """The market streams of Binance's spot and futures exchanges.

    Messages that look like one of the common kinds are decoded directly into the fields needed. If that
    fails, the whole record is parsed, and either becomes an event or is refused with a reason.

    Parameters
    ----------
    settings
        Only the preset's name, which has no effect here.

    Notes
    -----
    The futures exchange sends trades with price 0 and ``"X": "NA"`` that are not executions
    (nkaz001/hftbacktest issue 263); they are counted as ``trade_NA``.

    Examples
    --------
    >>> value = b'{"e":"trade","s":"BTCUSDT","t":7,"p":"61837.63","q":"0.02","T":1723161255342,"m":true}'
    >>> decoded = BinanceFormat().decode([Record(0, value)], DecodeContext("spot.trades", "binance"))
    >>> decoded.batch.event(0)
    {'aggressor_side': 'sell', 'price': 61837.63, 'size': 0.02, 'trade_id': '7'}
    """

    name = "binance"
    spec = "binance/1"
    provides: Mapping[str, frozenset[str]] = MappingProxyType(
        {
            "trade": frozenset({"price", "size", "aggressor_side", "trade_id"}),
            "quote": frozenset({"bid_price", "bid_size", "ask_price", "ask_size"}),
        }
    )
    time_units: Mapping[str, str] = MappingProxyType({"trade": "ms", "quote": "ms"})
    needs_venue = True

    def __init__(self, settings: MappingSettings | None = None) -> None:
        self._bare = _Decoders(_BookMessage, _TradeMessage, _AggTrade, _Depth)
        self._enveloped = _Decoders(_BookEnvelope, _TradeEnvelope, _AggTradeEnvelope, _DepthEnvelope)
        self._columns = BinanceColumns()

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """The kernels' result for a block; see `Format.columns`."""
        return None if context.venue is None else self._columns.read(block, context.venue)

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """Decode records; see `Format.decode`."""
        return decode_records(
            records,
            context.source,
            lambda block: self.columns(block, context),
            lambda rest: decode_each(rest, context, self._decode_one),
            min_block=_MIN_BLOCK,
        )

    def _decode_one(self, value: bytes, record: Record, call: DecodeCall) -> None:
        if not self._decode_common(value, record, call):
            _decode_any(value, record, call)

    def _decode_common(self, value: bytes, record: Record, call: DecodeCall) -> bool:
        enveloped = value.startswith(b'{"stream"')
        decoders = self._enveloped if enveloped else self._bare
        try:
            if value.find(b"bookTicker", 0, _PROBED_BYTES) >= 0:
                message = decoders.book(value)
                return _add_book(message.data if enveloped else message, record, call)
            if value.find(b'"trade"', 0, _PROBED_BYTES) >= 0:
                message = decoders.trade(value)
            elif value.find(b'"depthUpdate"', 0, _PROBED_BYTES) >= 0:
                decoders.depth(value)
                call.builder.ignore("depthUpdate")
                return True
            elif value.find(b'"aggTrade"', 0, _PROBED_BYTES) >= 0:
                message = decoders.agg_trade(value)
            elif not enveloped and value.startswith(b'{"u":'):
                return _add_book(decoders.book(value), record, call)
            else:
                return False
        except msgspec.MsgspecError:
            return False
        return _add_trade(message.data if enveloped else message, record, call)


def _add_trade(trade: _TradeMessage | _AggTrade, record: Record, call: DecodeCall) -> bool:
    """Add a trade if it is plainly valid; False otherwise."""
    venue, symbol, number, time = call.context.venue, trade.s, trade.id, trade.T
    valid = (
        venue is not None
        and valid_names(venue, symbol)
        and 0.0 < trade.p <= PRICE_MAX
        and 0.0 <= trade.q <= SIZE_MAX
        and type(time) is int
        and 0 <= time <= _TIME_MAX_MS
        and type(number) is int
        and abs(number) < 2**63
        and type(trade.m) is bool
    )
    if valid:
        call.builder.add(
            EventHead(_TRADE, venue or "", symbol, time * _NS_PER_MS),
            record,
            0,
            (("price", trade.p), ("size", trade.q)),
            (("aggressor_side", "sell" if trade.m else "buy"), ("trade_id", str(number))),
        )
    return valid


def _add_book(book: _BookMessage, record: Record, call: DecodeCall) -> bool:
    """Add a quote if it is plainly valid; False otherwise."""
    venue, symbol, time = call.context.venue, book.s, book.T
    if type(time) is int and 0 <= time <= _TIME_MAX_MS:
        ts = time * _NS_PER_MS
    else:
        ts = record.timestamp if time is None and book.E is None else NO_TIME
    valid = (
        ts != NO_TIME
        and venue is not None
        and valid_names(venue, symbol)
        and 0.0 < book.b <= PRICE_MAX
        and 0.0 <= book.B <= SIZE_MAX
        and 0.0 < book.a <= PRICE_MAX
        and 0.0 <= book.A <= SIZE_MAX
    )
    if valid:
        numbers = (
            ("bid_price", book.b),
            ("bid_size", book.B),
            ("ask_price", book.a),
            ("ask_size", book.A),
        )
        call.builder.add(EventHead(_QUOTE, venue or "", symbol, ts), record, 0, numbers, ())
    return valid


def _decode_any(value: bytes, record: Record, call: DecodeCall) -> None:
    document = parse(value)
    stream = ""
    if isinstance(document, dict) and "stream" in document and "data" in document:
        given, document = document["stream"], document["data"]
        stream = given if isinstance(given, str) else ""

    def decode_event(element: object, index: int) -> None:
        event = as_object(element)
        kind = _kind(event, stream)
        if kind in _DRAFTS:
            draft = _DRAFTS[kind](event)
            if draft is not None:
                add_draft(draft, record, index, call)
                return
            kind = "trade_NA"
        call.builder.ignore(kind)

    decode_events(document, record, call, decode_event)


def _kind(event: Mapping[str, object], stream: str) -> str:
    kind = event.get("e")
    if kind is None:
        return _kind_unnamed(event, stream)
    if isinstance(kind, str) and (kind in _DRAFTS or kind in IGNORED):
        return kind
    raise Refusal(Reason.UNKNOWN_KIND, f"e: {brief(kind)} is no kind of event that Binance is known to send")


def _kind_unnamed(event: Mapping[str, object], stream: str) -> str:
    if "lastUpdateId" in event:
        return "depth_snapshot"
    if "id" in event and "result" in event:
        return "subscription_ack"
    if "error" in event or ("code" in event and "msg" in event):
        return "request_error"
    if stream.endswith("bookTicker") or not _BOOK_KEYS.isdisjoint(event):
        return "bookTicker"
    raise missing("e")


def _time(event: Mapping[str, object]) -> int | None:
    ns = as_time(event.get("T"), "ms", "T")
    return as_time(event.get("E"), "ms", "E") if ns is None else ns


def _trade_draft(event: Mapping[str, object], number: str = "t") -> dict[str, object] | None:
    if event.get("X") == "NA" and as_number(event.get("p"), "price") == 0.0:
        return None
    maker = event.get("m")
    if maker is not None and not isinstance(maker, bool):
        raise Refusal(Reason.WRONG_TYPE, f"m: {brief(maker)} is neither true nor false")
    return {
        "event_type": "trade",
        "symbol": event.get("s"),
        "ts_event": _time(event),
        "price": as_number(event.get("p"), "price"),
        "size": as_number(event.get("q"), "size"),
        "trade_id": as_text(event.get(number), "trade_id"),
        "aggressor_side": None if maker is None else "sell" if maker else "buy",
    }


def _agg_trade_draft(event: Mapping[str, object]) -> dict[str, object] | None:
    return _trade_draft(event, "a")


def _book_draft(event: Mapping[str, object]) -> dict[str, object]:
    return {
        "event_type": "quote",
        "symbol": event.get("s"),
        "ts_event": _time(event),
        "bid_price": as_number(event.get("b"), "bid_price"),
        "bid_size": as_number(event.get("B"), "bid_size"),
        "ask_price": as_number(event.get("a"), "ask_price"),
        "ask_size": as_number(event.get("A"), "ask_size"),
    }


_DRAFTS = MappingProxyType({"trade": _trade_draft, "aggTrade": _agg_trade_draft, "bookTicker": _book_draft})
