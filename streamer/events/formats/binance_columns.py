"""Binance's market streams by columns: what is beyond doubt of a block of records, in a few passes.

What a record becomes here is what `streamer.events.formats.binance` makes of it one by one; where that is not
certain, the record is left to it.
"""

# ruff: noqa: SIM110 (kernels compare one by one)

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from streamer.events.batch import NO_TIME, Kind
from streamer.events.columnar import Columns, Floats, Rows, Taken
from streamer.events.fields import ENUM_CODES, PRICE_MAX, RECORD_MAX_BYTES, SIZE_MAX, TIME_MAX_NS
from streamer.events.instruments import INVALID, InstrumentTable
from streamer.events.texts import ABSENT, Codes, TextSource, whole_numbers
from streamer.events.values import NS_PER
from streamer.scan import Field, Scan, Scanner
from streamer.scan.matching import NO_MATCH, Matcher
from streamer.sources.record_block import RecordBlock

_NS_PER_MS = NS_PER["ms"]
_TIME_MAX_MS = TIME_MAX_NS // _NS_PER_MS
_PROBED_BYTES = 160  # as far as the one-by-one way looks for the kind
_BARE, _ENVELOPED, _UNNAMED = range(3)
_TRADE, _BOOK, _DEPTH, _AGG_TRADE = range(4)
_KINDS = Matcher(["trade", "bookTicker", "depthUpdate", "aggTrade"])
_BOOK_STREAM = Matcher(["bookTicker"], behind=True)

(E, S, P, Q, ID, T, M, BID, BID_SIZE, ASK, ASK_SIZE, EVENT_TIME, STREAM) = range(13)
_KEYS = ("e", "s", "p", "q", "t", "T", "m", "b", "B", "a", "A", "E")
_TYPES = (
    "text", "text", "decimal", "decimal", "integer", "integer", "flag",
    "decimal", "decimal", "decimal", "decimal", "integer",
)  # fmt: skip


@njit(cache=True, nogil=True)
def _starts_with(arena, at, size, word):  # type: ignore[no-untyped-def]
    if size < word.shape[0]:
        return False
    for i in range(word.shape[0]):
        if arena[at + i] != word[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _shape_rows(arena, at, size, enveloped, unnamed, shape):  # type: ignore[no-untyped-def]
    for row in range(at.shape[0]):
        shape[row] = _BARE
        if _starts_with(arena, at[row], size[row], enveloped):
            shape[row] = _ENVELOPED
        elif _starts_with(arena, at[row], size[row], unnamed):
            shape[row] = _UNNAMED


_ENVELOPE_BEGINS = np.frombuffer(b'{"stream"', np.uint8).copy()
_UNNAMED_BEGINS = np.frombuffer(b'{"u":', np.uint8).copy()


def _scanner(prefix: Sequence[str], keys: Sequence[str], types: Sequence[str]) -> Scanner:
    fields = [
        Field(path=(*prefix, key), type=kind)  # type: ignore[arg-type]
        for key, kind in zip(keys, types, strict=True)
    ]
    return Scanner([*fields, Field(path=("stream",), type="text")] if prefix else fields)


class _Events(NamedTuple):
    """Rows of one shape that are events: where each of `Taken`'s columns comes from."""

    rows: Rows
    is_trade: NDArray[np.bool_]
    ts: NDArray[np.int64]
    instrument: NDArray[np.int32]
    numbers: dict[str, Floats]
    sell: NDArray[np.bool_]
    trade_id: NDArray[np.int64]


class BinanceColumns:
    """Reads blocks of Binance's records; remembers the symbols it has met."""

    def __init__(self) -> None:
        self.table = InstrumentTable()
        self._scanners = {
            enveloped: (_scanner(prefix, _KEYS, _TYPES), _scanner(prefix, ("a",), ("integer",)))
            for enveloped, prefix in ((False, ()), (True, ("data",)))
        }

    def read(self, block: RecordBlock, venue: str) -> Columns:
        """What is beyond doubt of a block; see `Columns`."""
        if self.table.full:
            self.table = InstrumentTable()
        shape = np.empty(len(block), np.int8)
        _shape_rows(block.arena, block.value_at, block.value_size, _ENVELOPE_BEGINS, _UNNAMED_BEGINS, shape)
        in_envelope = shape == _ENVELOPED
        found, depths = [], []
        for enveloped in (False, True):
            mine = in_envelope == enveloped
            if mine.any():
                rows = np.arange(len(block)) if mine.all() else np.flatnonzero(mine)
                events, depth = self._read_shape(block, rows, shape, enveloped, venue)
                found.append(events)
                depths.append(depth)
        return _columns(len(block), found, np.concatenate([*depths, np.empty(0, np.intp)]), self.table)

    def _read_shape(
        self, block: RecordBlock, rows: Rows, shape: NDArray[np.int8], enveloped: bool, venue: str
    ) -> tuple[_Events, Rows]:
        whole = len(rows) == len(block)
        at, size = block.value_at, block.value_size
        timestamp = block.timestamp
        if not whole:
            at, size, timestamp, shape = at[rows], size[rows], timestamp[rows], shape[rows]
        scanner, of_agg_trade = self._scanners[enveloped]
        scan = scanner.scan(block.arena, at, size)
        kind = _KINDS.match(block.arena, *_texts(scan, E, ~scan.flagged))
        sure = ~scan.flagged & (size <= RECORD_MAX_BYTES)
        kind[~sure] = NO_MATCH
        named_otherwise = _lacks(scan, E) & sure
        if named_otherwise.any():
            kind[named_otherwise & _nameless_book(block, at, scan, shape, enveloped)] = _BOOK
        trade_id, has_id = scan.integer(ID), _has(scan, ID)
        aggregated = np.flatnonzero(kind == _AGG_TRADE)
        if len(aggregated):
            again = of_agg_trade.scan(block.arena, at[aggregated], size[aggregated])
            trade_id[aggregated] = again.integer(0)
            has_id[aggregated] = _has(again, 0)
        instrument = self.table.numbers(venue, block.arena, *_texts(scan, S, kind != NO_MATCH))
        is_trade = _trades(scan, kind) & has_id
        is_book, ts = _books(scan, kind, timestamp)
        taken = np.flatnonzero((is_trade | is_book) & (instrument != INVALID))
        events = _events(scan, rows, taken, is_trade, ts, instrument, trade_id)
        return events, rows[kind == _DEPTH]


def _has(scan: Scan, *fields: int) -> NDArray[np.bool_]:
    bits = np.uint64(sum(1 << field for field in fields))
    has: NDArray[np.bool_] = (scan.present & bits) == bits
    return has


def _texts(scan: Scan, field: int, where: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    at, size = scan.text(field)
    return at, np.where(where & _has(scan, field), size, -1)


def _lacks(scan: Scan, *fields: int) -> NDArray[np.bool_]:
    bits = np.uint64(sum(1 << field for field in fields))
    lacks: NDArray[np.bool_] = ((scan.present | scan.other) & bits) == 0
    return lacks


def _nameless_book(
    block: RecordBlock, at: NDArray[np.int64], scan: Scan, shape: NDArray[np.int8], enveloped: bool
) -> NDArray[np.bool_]:
    """Where a record without `e` is beyond doubt one of spot's bookTicker stream."""
    if not enveloped:
        unnamed: NDArray[np.bool_] = shape == _UNNAMED
        return unnamed
    stream_at, stream_size = _texts(scan, STREAM, ~scan.flagged)
    ends = stream_at + stream_size - at
    found: NDArray[np.bool_] = ends <= _PROBED_BYTES
    found &= _BOOK_STREAM.match(block.arena, stream_at, stream_size) == 0
    return found


def _trades(scan: Scan, kind: NDArray[np.int8]) -> NDArray[np.bool_]:
    price, size, time = scan.number(P), scan.number(Q), scan.integer(T)
    found: NDArray[np.bool_] = (kind == _TRADE) | (kind == _AGG_TRADE)
    found &= _has(scan, S, P, Q, T, M)
    found &= (price > 0.0) & (price <= PRICE_MAX) & (size >= 0.0) & (size <= SIZE_MAX)
    found &= (time >= 0) & (time <= _TIME_MAX_MS)
    return found


def _books(
    scan: Scan, kind: NDArray[np.int8], timestamp: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Where quotes are; and the event time of all rows, which of a quote without one is its record's."""
    time = scan.integer(T)
    ts = time * _NS_PER_MS
    found: NDArray[np.bool_] = (kind == _BOOK) & _has(scan, S, BID, BID_SIZE, ASK, ASK_SIZE)
    if found.any():
        for price in (scan.number(BID), scan.number(ASK)):
            found &= (price > 0.0) & (price <= PRICE_MAX)
        for size in (scan.number(BID_SIZE), scan.number(ASK_SIZE)):
            found &= (size >= 0.0) & (size <= SIZE_MAX)
        timed = _has(scan, T) & (time >= 0) & (time <= _TIME_MAX_MS)
        untimed = _lacks(scan, T, EVENT_TIME) & (timestamp != NO_TIME)
        found &= timed | untimed
        ts = np.where(found & untimed, timestamp, ts)
    return found, ts


def _events(
    scan: Scan,
    rows: Rows,
    taken: Rows,
    is_trade: NDArray[np.bool_],
    ts: NDArray[np.int64],
    instrument: NDArray[np.int32],
    trade_id: NDArray[np.int64],
) -> _Events:
    if len(taken) < len(is_trade):
        is_trade, ts = is_trade[taken], ts[taken]
        instrument, trade_id = instrument[taken], trade_id[taken]
    all_trades, no_trades = bool(is_trade.all()), not is_trade.any()

    def column(field: int, of_trades: bool) -> Floats:
        values = scan.number(field) if len(taken) == len(rows) else scan.number(field)[taken]
        if all_trades if of_trades else no_trades:
            return values
        return np.where(is_trade == of_trades, values, np.nan)

    numbers: dict[str, Floats] = {}
    if not no_trades:
        numbers |= {"price": column(P, True), "size": column(Q, True)}
    if not all_trades:
        numbers |= {"bid_price": column(BID, False), "bid_size": column(BID_SIZE, False)}
        numbers |= {"ask_price": column(ASK, False), "ask_size": column(ASK_SIZE, False)}
    sell = scan.flag(M) if len(taken) == len(rows) else scan.flag(M)[taken]
    return _Events(rows[taken], is_trade, ts, instrument, numbers, sell, trade_id)


def _columns(n: int, found: Sequence[_Events], depth: Rows, table: InstrumentTable) -> Columns:
    """The events of all shapes together, in the order of the records."""
    events = found[0] if len(found) == 1 else _together(found)
    left = np.ones(n, np.bool_)
    left[events.rows] = False
    left[depth] = False
    side = np.where(events.sell, np.int32(ENUM_CODES["sell"]), np.int32(ENUM_CODES["buy"]))
    texts: dict[str, Codes | TextSource] = {}
    if events.is_trade.any():
        texts = {
            "aggressor_side": np.where(events.is_trade, side, np.int32(ABSENT)),
            "trade_id": whole_numbers(events.trade_id, events.is_trade),
        }
    taken = Taken(
        place=events.rows,
        kind=np.where(events.is_trade, np.int8(Kind.TRADE), np.int8(Kind.QUOTE)),
        instrument=events.instrument,
        ts=events.ts,
        numbers=events.numbers,
        texts=texts,
    )
    ignored = {"depthUpdate": len(depth)} if len(depth) else {}
    return Columns(taken, np.flatnonzero(left), MappingProxyType(ignored), table)


def _together(found: Sequence[_Events]) -> _Events:
    rows = np.concatenate([events.rows for events in found])
    order = np.argsort(rows)
    names = dict.fromkeys(name for events in found for name in events.numbers)

    def number(events: _Events, name: str) -> Floats:
        return events.numbers.get(name, np.full(len(events.rows), np.nan))

    return _Events(
        rows[order],
        np.concatenate([events.is_trade for events in found])[order],
        np.concatenate([events.ts for events in found])[order],
        np.concatenate([events.instrument for events in found])[order],
        {name: np.concatenate([number(events, name) for events in found])[order] for name in names},
        np.concatenate([events.sell for events in found])[order],
        np.concatenate([events.trade_id for events in found])[order],
    )
