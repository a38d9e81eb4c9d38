"""Binance's market streams by columns: what is beyond doubt of a block of records, in two passes.

Each row becomes what `streamer.decoding.formats.binance` makes of it; a row in doubt is left to that.
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
    FIELDS,
    LEFT,
    NUMBERS,
    PRICE,
    SIZE,
    SNAPSHOTS,
    TAKEN,
    TRADES,
    take_rows,
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
    ("E", "flag"), ("lastUpdateId", "flag"),  # numbers; whether they are there is all that matters
)  # fmt: skip
_OF_TRADES, _OF_QUOTES = ("price", "size"), ("bid_price", "bid_size", "ask_price", "ask_size")
_NUMBERS = {
    "price": PRICE, "size": SIZE, "bid_price": BID_PRICE, "bid_size": BID_AMOUNT,
    "ask_price": ASK_PRICE, "ask_size": ASK_AMOUNT,
}  # fmt: skip
_TRADE = int(Kind.TRADE)
_IGNORED = {"depthUpdate": DEPTHS, "depth_snapshot": SNAPSHOTS}


class _Events(NamedTuple):
    """Rows that are events, as columns."""

    place: Rows
    kind: NDArray[np.int8]
    ts: NDArray[np.int64]
    numbers: Floats
    side: Codes
    trade_id: NDArray[np.int64]
    instrument: NDArray[np.int32]


class BinanceColumns:
    """Reads blocks of Binance's records; remembers the symbols it has met, so one thread at a time."""

    def __init__(self) -> None:
        self.table = InstrumentTable()
        wanted = [JsonField((*prefix, key), kind) for prefix in _PREFIXES for key, kind in _FIELDS]
        self._scanner = Scanner([*wanted, JsonField(("stream",), "text")])
        self._columns_of = np.array([self._scanner.column(field) for field in range(2 * FIELDS + 1)])
        self._cells_of = np.empty_like(self._columns_of)
        self._of_agg_trade = Scanner([JsonField((*prefix, "a"), "integer") for prefix in _PREFIXES])
        self._room = np.empty(0, np.uint64)

    def read(self, block: RecordBlock, venue: str) -> DecodedColumns:
        """What is beyond doubt of a block; see `DecodedColumns`."""
        if self.table.full:
            self.table = InstrumentTable()
        n, width = len(block), self._scanner.columns
        if len(self._room) < n * width:
            self._room = np.empty(n * width, np.uint64)
        room = self._room[: n * width].reshape(width, n)
        arena, at = readable(block.arena, np.uint8), readable(block.value_at, np.int64)
        size, timestamp = readable(block.value_size, np.int64), readable(block.timestamp, np.int64)
        scan = self._scanner.scan(arena, at, size, into=room)
        place, ts, trade_id, symbol_at, symbol_size, left, aggregated = np.empty((7, n), np.int64)
        kind, side, numbers = np.empty(n, np.int8), np.empty(n, np.int32), np.empty((NUMBERS, n))
        counts = np.empty(COUNTS, np.int64)
        take_rows(
            arena, at, size, timestamp,
            scan.flagged, scan.columns, self._columns_of, self._cells_of,
            place, kind, ts, numbers, side, trade_id, symbol_at, symbol_size, left, aggregated, counts,
        )  # fmt: skip
        counted = counts.tolist()
        m, trades = counted[TAKEN], counted[TRADES]
        instrument = self.table.numbers(venue, arena, symbol_at[:m], symbol_size[:m])
        events = _Events(place[:m], kind[:m], ts[:m], numbers[:, :m], side[:m], trade_id[:m], instrument)
        left = left[: counted[LEFT]]
        sure = instrument != INVALID
        if counted[AGGREGATED]:
            sure &= self._numbered(block, events, aggregated[: counted[AGGREGATED]])
        if not sure.all():
            left = np.sort(np.concatenate([left, events.place[~sure]]))
            events = _Events._make(column[..., sure] for column in events)
            trades = int(np.count_nonzero(events.kind == _TRADE))
        ignored = {name: counted[count] for name, count in _IGNORED.items() if counted[count]}
        return DecodedColumns(_taken(events, trades), left, MappingProxyType(ignored), self.table)

    def _numbered(self, block: RecordBlock, events: _Events, aggregated: Rows) -> NDArray[np.bool_]:
        """Write the ids of aggregated trades, which lie where quotes have a price; False where one lacks."""
        those, bare = aggregated >> 1, aggregated & 1
        place = events.place[those]
        scan = self._of_agg_trade.scan(block.arena, block.value_at[place], block.value_size[place])
        events.trade_id[those] = np.where(bare, scan.integer(1), scan.integer(0))
        sure = np.ones(len(events.place), np.bool_)
        sure[those] = scan.present >> bare.astype(np.uint64) & np.uint64(1)
        return sure


def _taken(events: _Events, trades: int) -> EventRows:
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
