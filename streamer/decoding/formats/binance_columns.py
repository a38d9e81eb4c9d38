"""Decodes blocks of Binance's records with kernels, in two passes.

A row gives the same event as in `streamer.decoding.formats.binance`; a row that is not plainly valid is left
to that slow path.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.column_decoding import DecodedColumns, EventRows, Floats, Rows
from streamer.decoding.formats.binance_kernels import (
    AGGREGATED,
    ASK_AMOUNT,
    ASK_PRICE,
    BID_AMOUNT,
    BID_PRICE,
    COUNTS,
    DEPTHS,
    EVENTS,
    FIELDS,
    NUMBERS,
    PRICE,
    SIZE,
    SLOW,
    SNAPSHOTS,
    TRADES,
    write_events,
)
from streamer.decoding.instruments import INVALID, InstrumentTable
from streamer.decoding.json import JsonField, Scanner
from streamer.decoding.json.scan_plan import FieldType
from streamer.decoding.json.scanner import readable
from streamer.messages.batch import Kind
from streamer.messages.record_block import RecordBlock
from streamer.messages.texts import Codes, TextSource, integers_as_texts

_PREFIXES: tuple[tuple[str, ...], ...] = (("data",), ())
_FIELDS: tuple[tuple[str, FieldType], ...] = (
    ("e", "text"), ("s", "text"), ("p", "decimal"), ("q", "decimal"), ("t", "integer"), ("T", "integer"),
    ("m", "flag"), ("b", "decimal"), ("B", "decimal"), ("a", "decimal"), ("A", "decimal"),
    ("E", "flag"), ("lastUpdateId", "flag"),  # numbers; only their presence matters
)  # fmt: skip
_OF_TRADES, _OF_QUOTES = ("price", "size"), ("bid_price", "bid_size", "ask_price", "ask_size")
_NUMBERS = {
    "price": PRICE, "size": SIZE, "bid_price": BID_PRICE, "bid_size": BID_AMOUNT,
    "ask_price": ASK_PRICE, "ask_size": ASK_AMOUNT,
}  # fmt: skip
_TRADE = int(Kind.TRADE)
_IGNORED = {"depthUpdate": DEPTHS, "depth_snapshot": SNAPSHOTS}


class _EventArrays(NamedTuple):
    """Columns of the rows that are events."""

    place: Rows
    kind: NDArray[np.int8]
    ts: NDArray[np.int64]
    numbers: Floats
    side: Codes
    trade_id: NDArray[np.int64]
    instrument: NDArray[np.int32]


class BinanceColumns:
    """Decodes blocks of records; remembers symbols it has seen, so only one thread may use it at a time."""

    def __init__(self) -> None:
        self.table = InstrumentTable()
        fields = [JsonField((*prefix, key), kind) for prefix in _PREFIXES for key, kind in _FIELDS]
        self._scanner = Scanner([*fields, JsonField(("stream",), "text")])
        self._columns_of = np.array([self._scanner.column(field) for field in range(2 * FIELDS + 1)])
        self._addresses_of = np.empty_like(self._columns_of)
        self._of_agg_trade = Scanner([JsonField((*prefix, "a"), "integer") for prefix in _PREFIXES])
        self._room = np.empty(0, np.uint64)

    def read(self, block: RecordBlock, venue: str) -> DecodedColumns:
        """Decode the plainly valid records of a block; see `DecodedColumns`."""
        if self.table.full:
            self.table = InstrumentTable()
        n, width = len(block), self._scanner.columns
        if len(self._room) < n * width:
            self._room = np.empty(n * width, np.uint64)
        room = self._room[: n * width].reshape(width, n)
        arena, at = readable(block.arena, np.uint8), readable(block.value_at, np.int64)
        size, timestamp = readable(block.value_size, np.int64), readable(block.timestamp, np.int64)
        scan = self._scanner.scan(arena, at, size, into=room)
        place, ts, trade_id, symbol_at, symbol_size, slow, aggregated = np.empty((7, n), np.int64)
        kind, side, numbers = np.empty(n, np.int8), np.empty(n, np.int32), np.empty((NUMBERS, n))
        counts = np.empty(COUNTS, np.int64)
        write_events(
            arena, at, size, timestamp,
            scan.flagged, scan.columns, self._columns_of, self._addresses_of,
            place, kind, ts, numbers, side, trade_id, symbol_at, symbol_size, slow, aggregated, counts,
        )  # fmt: skip
        counted = counts.tolist()
        m, trades = counted[EVENTS], counted[TRADES]
        instrument = self.table.numbers(venue, arena, symbol_at[:m], symbol_size[:m])
        events = _EventArrays(place[:m], kind[:m], ts[:m], numbers[:, :m], side[:m], trade_id[:m], instrument)
        slow = slow[: counted[SLOW]]
        valid = instrument != INVALID
        if counted[AGGREGATED]:
            valid &= self._read_ids(block, events, aggregated[: counted[AGGREGATED]])
        if not valid.all():
            slow = np.sort(np.concatenate([slow, events.place[~valid]]))
            events = _EventArrays._make(column[..., valid] for column in events)
            trades = int(np.count_nonzero(events.kind == _TRADE))
        ignored = {name: counted[count] for name, count in _IGNORED.items() if counted[count]}
        return DecodedColumns(_event_rows(events, trades), slow, MappingProxyType(ignored), self.table)

    def _read_ids(self, block: RecordBlock, events: _EventArrays, aggregated: Rows) -> NDArray[np.bool_]:
        """Read the ids of aggregated trades, under the key of a quote's price; False where one is missing."""
        trades, bare = aggregated >> 1, aggregated & 1
        place = events.place[trades]
        scan = self._of_agg_trade.scan(block.arena, block.value_at[place], block.value_size[place])
        events.trade_id[trades] = np.where(bare, scan.integer(1), scan.integer(0))
        valid = np.ones(len(events.place), np.bool_)
        valid[trades] = scan.present >> bare.astype(np.uint64) & np.uint64(1)
        return valid


def _event_rows(events: _EventArrays, trades: int) -> EventRows:
    names = _OF_TRADES if trades else ()
    if trades < len(events.place):
        names = (*names, *_OF_QUOTES)
    texts: dict[str, Codes | TextSource] = {}
    if trades:
        is_trade = events.kind == _TRADE
        texts = {
            "aggressor_side": events.side,
            "trade_id": integers_as_texts(events.trade_id, is_trade),
        }
    return EventRows(
        place=events.place,
        kind=events.kind,
        instrument=events.instrument,
        ts=events.ts,
        numbers={name: events.numbers[_NUMBERS[name]] for name in names},
        texts=texts,
    )
