"""The kernel: of scanned records of Binance's streams those that are events beyond doubt, as columns."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.event_fields import ENUM_CODES, PRICE_MAX, RECORD_MAX_BYTES, SIZE_MAX, TIME_MAX_NS
from streamer.decoding.json.wide_loads import LOW_BYTES, byte_at, double_of, number_at, word_at
from streamer.messages.batch import Kind
from streamer.messages.records import NO_TIME
from streamer.messages.texts import ABSENT
from streamer.messages.time_units import NS_PER_MS

U = np.uint64

(E, S, P, Q, ID, T, M, BID, BID_SIZE, ASK, ASK_SIZE, EVENT_TIME, LAST_UPDATE) = range(13)
FIELDS = 13
"""So many fields are wanted of an event: first of those in an envelope, then of the bare ones."""

STREAM = 2 * FIELDS
"""The field behind both: the envelope's own."""

PRICE, SIZE, BID_PRICE, BID_AMOUNT, ASK_PRICE, ASK_AMOUNT, NUMBERS = range(7)
"""Rows of the numbers that are written."""

TAKEN, LEFT, TRADES, DEPTHS, SNAPSHOTS, AGGREGATED, COUNTS = range(7)
"""What is counted."""

_TRADE, _BOOK, _DEPTH, _AGG_TRADE, _SNAPSHOT, _NO_KIND = range(6)
_TRADE_EVENT, _QUOTE_EVENT = int(Kind.TRADE), int(Kind.QUOTE)
_BUY, _SELL = ENUM_CODES["buy"], ENUM_CODES["sell"]
_TIME_MAX_MS = TIME_MAX_NS // NS_PER_MS
_WIDTH = 8 * FIELDS
_PROBED_BYTES = 160  # as far as the one-by-one way looks for the kind


def _words(text: bytes) -> tuple[np.uint64, np.uint64]:
    return U(int.from_bytes(text[:8], "little")), U(int.from_bytes(text[8:16], "little"))


def _bits(*fields: int) -> np.uint64:
    return U(sum(1 << field for field in fields))


_NAME_TRADE, _ = _words(b"trade")
_NAME_AGG_TRADE, _ = _words(b"aggTrade")
_NAME_BOOK = _words(b"bookTicker")
_NAME_DEPTH = _words(b"depthUpdate")
_ENVELOPE_BEGINS, _ = _words(b'{"stream"')
_UNNAMED_BEGINS, _ = _words(b'{"u":')
_OF_TRADE = _bits(S, P, Q, T, M)
_OF_BOOK = _bits(S, BID, BID_SIZE, ASK, ASK_SIZE)
_TIMES, _SNAPSHOT_KEYS, _LAST_UPDATE = _bits(T, EVENT_TIME), _bits(S, LAST_UPDATE), _bits(LAST_UPDATE)
_NONE, _ONE = U(0), U(1)


@kernel(error_model="numpy", forceinline=True)
def _is(at, words, length):
    """Whether a text of 8 to 16 bytes stands there."""
    return word_at(at) == words[0] and word_at(at + 8) & LOW_BYTES[length - 8] == words[1]


@kernel(error_model="numpy", forceinline=True)
def _has(bits, field):
    return bits >> U(field) & _ONE != _NONE


@kernel(error_model="numpy", forceinline=True)
def _cell(cells, row, field):
    return number_at(number_at(cells, field), row)


@kernel(error_model="numpy", forceinline=True)
def _span(cells, n, row, field):
    column = number_at(cells, field)
    return number_at(column, row), number_at(column, n + row)


@kernel(error_model="numpy", forceinline=True)
def _number(cells, row, field):
    return double_of(U(_cell(cells, row, field)))


@kernel(error_model="numpy", forceinline=True)
def _is_price(value):
    return value > 0.0 and value <= PRICE_MAX


@kernel(error_model="numpy", forceinline=True)
def _is_size(value):
    return value >= 0.0 and value <= SIZE_MAX


@kernel(error_model="numpy", forceinline=True)
def _is_time(ms):
    return ms >= 0 and ms <= _TIME_MAX_MS


@kernel(error_model="numpy", forceinline=True)
def _is_bare(begin):
    return word_at(begin) != _ENVELOPE_BEGINS or byte_at(begin + 8) != ord('"')


@kernel(error_model="numpy", forceinline=True)
def _named(at, size):
    """The kind that a text names."""
    if size == 5 and word_at(at) & LOW_BYTES[5] == _NAME_TRADE:
        return _TRADE
    if size == 10 and _is(at, _NAME_BOOK, 10):
        return _BOOK
    if size == 11 and _is(at, _NAME_DEPTH, 11):
        return _DEPTH
    if size == 8 and word_at(at) == _NAME_AGG_TRADE:
        return _AGG_TRADE
    return _NO_KIND


@kernel(error_model="numpy")
def _unnamed(begin, size, bare, there, has_stream, at, length):
    """The kind of a record without `e`: a book of spot's bookTicker stream, a snapshot of depth, or none."""
    if there & _LAST_UPDATE == _NONE:
        if bare:
            is_book = word_at(begin) & LOW_BYTES[5] == _UNNAMED_BEGINS
        else:
            is_book = (
                has_stream
                and length >= 10
                and at + length - begin <= _PROBED_BYTES
                and _is(at + length - 10, _NAME_BOOK, 10)
            )
        return _BOOK if is_book else _NO_KIND
    if there & _SNAPSHOT_KEYS != _LAST_UPDATE or has_stream == bare:
        return _NO_KIND
    for place in range(begin, begin + min(size, _PROBED_BYTES)):
        if word_at(place) == _NAME_DEPTH[0]:  # which the one-by-one way might take for the kind
            return _NO_KIND
    return _SNAPSHOT


@kernel(error_model="numpy", forceinline=True)
def _kind(base, begin, size, cells, n, row, bare, has, there, has_stream, stream):
    """What a sound record is."""
    if _has(has, E):
        at, length = _span(cells, n, row, E)
        return _named(base + at, length)
    if _has(there, E):
        return _NO_KIND
    at, length = _span(stream, n, row, 0)
    return _unnamed(begin, size, bare == 1, there, has_stream, base + at, length)


@kernel(error_model="numpy", forceinline=True)
def _book(cells, row, has, there, timestamp):
    """Whether a quote is beyond doubt, its time, and its prices and sizes."""
    if has & _OF_BOOK != _OF_BOOK:
        return False, 0, 0.0, 0.0, 0.0, 0.0
    bid, bid_size = _number(cells, row, BID), _number(cells, row, BID_SIZE)
    ask, ask_size = _number(cells, row, ASK), _number(cells, row, ASK_SIZE)
    sure = _is_price(bid) and _is_price(ask) and _is_size(bid_size) and _is_size(ask_size)
    if _has(has, T):
        ms = _cell(cells, row, T)
        return sure and _is_time(ms), ms * NS_PER_MS, bid, bid_size, ask, ask_size
    sure = sure and there & _TIMES == _NONE and timestamp != NO_TIME
    return sure, timestamp, bid, bid_size, ask, ask_size


@kernel(error_model="numpy", forceinline=True)
def _trade(cells, row, has, aggregated):
    """Whether a trade is beyond doubt, its time, price and size; but for the id of an aggregated one."""
    if has & _OF_TRADE != _OF_TRADE or not (aggregated or _has(has, ID)):
        return False, 0, 0.0, 0.0
    price, size = _number(cells, row, P), _number(cells, row, Q)
    ms = _cell(cells, row, T)
    return _is_price(price) and _is_size(size) and _is_time(ms), ms * NS_PER_MS, price, size


@kernel(error_model="numpy")
def take_rows(
    arena, at, size, timestamp, flagged, columns, columns_of, cells_of,
    place, kind, ts, numbers, side, trade_id, symbol_at, symbol_size, left, aggregated, counts,
):  # fmt: skip
    """Take rows that are events beyond doubt.

    Parameters
    ----------
    arena, at, size, timestamp
        uint8, int64[n]: the records.
    flagged, columns
        bool[n], uint64[c, n]: as they were scanned; what is not present has no meaning.
    columns_of
        int64[2 * FIELDS + 1]: by field its column, of a text the first of two.
    cells_of
        int64[2 * FIELDS + 1], of no meaning before and after.
    place, kind, ts, symbol_at, symbol_size
        int64[n], int8[n], int64[n], written: of rows that are taken their places, their kinds, their
        times, and where their symbols lie.
    numbers, side, trade_id
        float64[NUMBERS, n], int32[n], int64[n], written: their fields.
    left
        int64[n], written: the rows that are left.
    aggregated
        int64[n], written: of aggregated trades twice the number among those taken, and one more for a
        bare one; their ids are still to be read.
    counts
        int64[COUNTS], written: how many there are of all that.
    """
    base, first, envelope = arena.ctypes.data, columns.ctypes.data, cells_of.ctypes.data
    n = at.size
    for field in range(cells_of.size):
        cells_of[field] = first + columns_of[field] * n * 8
    taken = behind = trades = depths = snapshots = aggregates = 0
    for row in range(n):
        sure, found = False, _NO_KIND
        if not flagged[row] and size[row] <= RECORD_MAX_BYTES:
            begin = base + at[row]
            bare = np.int64(_is_bare(begin))
            cells, shift = envelope + bare * _WIDTH, U(FIELDS * bare)
            present, other = U(number_at(first, row)), U(number_at(first, n + row))
            has, there = present >> shift, (present | other) >> shift
            found = _kind(
                base, begin, size[row], cells, n, row, bare, has, there,
                _has(present, STREAM), envelope + 2 * _WIDTH,
            )  # fmt: skip
            if bare == 1 and _has(present | other, STREAM):  # which one by one may be an envelope
                found = _NO_KIND
        if found == _DEPTH:
            depths += 1
            continue
        if found == _SNAPSHOT:
            snapshots += 1
            continue
        if found == _BOOK:
            sure, time, bid, bid_size, ask, ask_size = _book(cells, row, has, there, timestamp[row])
            numbers[PRICE, taken] = numbers[SIZE, taken] = np.nan
            numbers[BID_PRICE, taken], numbers[BID_AMOUNT, taken] = bid, bid_size
            numbers[ASK_PRICE, taken], numbers[ASK_AMOUNT, taken] = ask, ask_size
            kind[taken], side[taken], trade_id[taken] = _QUOTE_EVENT, ABSENT, 0
        elif found != _NO_KIND:
            sure, time, price, amount = _trade(cells, row, has, found == _AGG_TRADE)
            numbers[PRICE, taken], numbers[SIZE, taken] = price, amount
            numbers[BID_PRICE, taken] = numbers[BID_AMOUNT, taken] = np.nan
            numbers[ASK_PRICE, taken] = numbers[ASK_AMOUNT, taken] = np.nan
            kind[taken], trade_id[taken] = _TRADE_EVENT, _cell(cells, row, ID)
            side[taken] = _SELL if _cell(cells, row, M) else _BUY
            trades += sure
            if sure and found == _AGG_TRADE:
                aggregated[aggregates] = 2 * taken + bare
                aggregates += 1
        if sure:
            symbol_at[taken], symbol_size[taken] = _span(cells, n, row, S)
            place[taken], ts[taken] = row, time
            taken += 1
        else:
            left[behind] = row
            behind += 1
    counts[TAKEN], counts[LEFT], counts[TRADES] = taken, behind, trades
    counts[DEPTHS], counts[SNAPSHOTS], counts[AGGREGATED] = depths, snapshots, aggregates
