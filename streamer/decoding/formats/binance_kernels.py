"""The kernel that turns scanned records of Binance's streams, where plainly valid, into columns of events."""

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
"""Fields read per event: first those of an event in an envelope, then those of a bare one."""

STREAM = 2 * FIELDS
"""The field after both: the envelope's own."""

PRICE, SIZE, BID_PRICE, BID_AMOUNT, ASK_PRICE, ASK_AMOUNT, NUMBERS = range(7)
"""Rows of the numbers written."""

EVENTS, SLOW, TRADES, DEPTHS, SNAPSHOTS, AGGREGATED, COUNTS = range(7)
"""Indices of the counts."""

_TRADE, _BOOK, _DEPTH, _AGG_TRADE, _SNAPSHOT, _NO_KIND = range(6)
_TRADE_EVENT, _QUOTE_EVENT = int(Kind.TRADE), int(Kind.QUOTE)
_BUY, _SELL = ENUM_CODES["buy"], ENUM_CODES["sell"]
_TIME_MAX_MS = TIME_MAX_NS // NS_PER_MS
_WIDTH = 8 * FIELDS
_PROBED_BYTES = 160  # how far the slow path looks for the kind


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
    """Whether the text at an address equals one of 8 to 16 bytes."""
    return word_at(at) == words[0] and word_at(at + 8) & LOW_BYTES[length - 8] == words[1]


@kernel(error_model="numpy", forceinline=True)
def _has(bits, field):
    return bits >> U(field) & _ONE != _NONE


@kernel(error_model="numpy", forceinline=True)
def _load(addresses, row, field):
    return number_at(number_at(addresses, field), row)


@kernel(error_model="numpy", forceinline=True)
def _span(addresses, n, row, field):
    column = number_at(addresses, field)
    return number_at(column, row), number_at(column, n + row)


@kernel(error_model="numpy", forceinline=True)
def _number(addresses, row, field):
    return double_of(U(_load(addresses, row, field)))


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
    """The kind named by a text."""
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
def _unnamed(begin, size, bare, occurring, has_stream, at, length):
    """The kind of a record without `e`: a quote of spot's bookTicker stream, a depth snapshot, or none."""
    if occurring & _LAST_UPDATE == _NONE:
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
    if occurring & _SNAPSHOT_KEYS != _LAST_UPDATE or has_stream == bare:
        return _NO_KIND
    for place in range(begin, begin + min(size, _PROBED_BYTES)):
        if word_at(place) == _NAME_DEPTH[0]:  # the slow path might take it for the kind
            return _NO_KIND
    return _SNAPSHOT


@kernel(error_model="numpy", forceinline=True)
def _kind(base, begin, size, addresses, n, row, bare, has, occurring, has_stream, stream):
    """The kind of a well-formed record."""
    if _has(has, E):
        at, length = _span(addresses, n, row, E)
        return _named(base + at, length)
    if _has(occurring, E):
        return _NO_KIND
    at, length = _span(stream, n, row, 0)
    return _unnamed(begin, size, bare == 1, occurring, has_stream, base + at, length)


@kernel(error_model="numpy", forceinline=True)
def _book(addresses, row, has, occurring, timestamp):
    """Whether a quote is plainly valid, its time, and its prices and sizes."""
    if has & _OF_BOOK != _OF_BOOK:
        return False, 0, 0.0, 0.0, 0.0, 0.0
    bid, bid_size = _number(addresses, row, BID), _number(addresses, row, BID_SIZE)
    ask, ask_size = _number(addresses, row, ASK), _number(addresses, row, ASK_SIZE)
    valid = _is_price(bid) and _is_price(ask) and _is_size(bid_size) and _is_size(ask_size)
    if _has(has, T):
        ms = _load(addresses, row, T)
        return valid and _is_time(ms), ms * NS_PER_MS, bid, bid_size, ask, ask_size
    valid = valid and occurring & _TIMES == _NONE and timestamp != NO_TIME
    return valid, timestamp, bid, bid_size, ask, ask_size


@kernel(error_model="numpy", forceinline=True)
def _trade(addresses, row, has, aggregated):
    """Whether a trade is plainly valid (an aggregated one except for its id), its time, price and size."""
    if has & _OF_TRADE != _OF_TRADE or not (aggregated or _has(has, ID)):
        return False, 0, 0.0, 0.0
    price, size = _number(addresses, row, P), _number(addresses, row, Q)
    ms = _load(addresses, row, T)
    return _is_price(price) and _is_size(size) and _is_time(ms), ms * NS_PER_MS, price, size


@kernel(error_model="numpy")
def write_events(
    arena, at, size, timestamp, flagged, columns, columns_of, addresses_of,
    place, kind, ts, numbers, side, trade_id, symbol_at, symbol_size, slow, aggregated, counts,
):  # fmt: skip
    """Write the rows that are plainly valid events.

    Parameters
    ----------
    arena, at, size, timestamp
        uint8, int64[n]: the records.
    flagged, columns
        bool[n], uint64[c, n]: the scan; values that are not present are undefined.
    columns_of
        int64[2 * FIELDS + 1]: each field's column, for a text the first of two.
    addresses_of
        int64[2 * FIELDS + 1], scratch space.
    place, kind, ts, symbol_at, symbol_size
        int64[n], int8[n], int64[n], written: the events' rows, kinds, times, and symbols' positions.
    numbers, side, trade_id
        float64[NUMBERS, n], int32[n], int64[n], written: their fields.
    slow
        int64[n], written: the rows left to the slow path.
    aggregated
        int64[n], written: for each aggregated trade, whose id is still to be read, twice its index among
        the events, plus one if it is bare.
    counts
        int64[COUNTS], written: the counts of all these.
    """
    base, first, envelope = arena.ctypes.data, columns.ctypes.data, addresses_of.ctypes.data
    n = at.size
    for field in range(addresses_of.size):
        addresses_of[field] = first + columns_of[field] * n * 8
    event = n_slow = trades = depths = snapshots = aggregates = 0
    for row in range(n):
        valid, message = False, _NO_KIND
        if not flagged[row] and size[row] <= RECORD_MAX_BYTES:
            begin = base + at[row]
            bare = np.int64(_is_bare(begin))
            addresses, shift = envelope + bare * _WIDTH, U(FIELDS * bare)
            present, other = U(number_at(first, row)), U(number_at(first, n + row))
            has, occurring = present >> shift, (present | other) >> shift
            message = _kind(
                base, begin, size[row], addresses, n, row, bare, has, occurring,
                _has(present, STREAM), envelope + 2 * _WIDTH,
            )  # fmt: skip
            if bare == 1 and _has(present | other, STREAM):  # the slow path may take it for an envelope
                message = _NO_KIND
        if message == _DEPTH:
            depths += 1
            continue
        if message == _SNAPSHOT:
            snapshots += 1
            continue
        if message == _BOOK:
            valid, time, bid, bid_size, ask, ask_size = _book(addresses, row, has, occurring, timestamp[row])
            numbers[PRICE, event] = numbers[SIZE, event] = np.nan
            numbers[BID_PRICE, event], numbers[BID_AMOUNT, event] = bid, bid_size
            numbers[ASK_PRICE, event], numbers[ASK_AMOUNT, event] = ask, ask_size
            kind[event], side[event], trade_id[event] = _QUOTE_EVENT, ABSENT, 0
        elif message != _NO_KIND:
            valid, time, price, amount = _trade(addresses, row, has, message == _AGG_TRADE)
            numbers[PRICE, event], numbers[SIZE, event] = price, amount
            numbers[BID_PRICE, event] = numbers[BID_AMOUNT, event] = np.nan
            numbers[ASK_PRICE, event] = numbers[ASK_AMOUNT, event] = np.nan
            kind[event], trade_id[event] = _TRADE_EVENT, _load(addresses, row, ID)
            side[event] = _SELL if _load(addresses, row, M) else _BUY
            trades += valid
            if valid and message == _AGG_TRADE:
                aggregated[aggregates] = 2 * event + bare
                aggregates += 1
        if valid:
            symbol_at[event], symbol_size[event] = _span(addresses, n, row, S)
            place[event], ts[event] = row, time
            event += 1
        else:
            slow[n_slow] = row
            n_slow += 1
    counts[EVENTS], counts[SLOW], counts[TRADES] = event, n_slow, trades
    counts[DEPTHS], counts[SNAPSHOTS], counts[AGGREGATED] = depths, snapshots, aggregates
