"""Writes simulated events as records of the public format, numbered by instrument."""

from __future__ import annotations

from streamer.sources.simulator.book import RestingOrder
from streamer.sources.simulator.instruments import VENUE, Spec

_SIDES = {1: "buy", -1: "sell"}


class Tape:
    """Writes the events of one instrument; `numbered` completes them with their sequence number.

    Parameters
    ----------
    spec
        The instrument.

    Examples
    --------
    >>> from streamer.sources.simulator.instruments import INSTRUMENTS
    >>> tape = Tape(INSTRUMENTS[0])
    >>> tape.numbered(tape.quote(5, 61800.0, 61800.5, 0.25, 0.5))[-64:]
    b'"bid_size":0.25,"ask_price":61800.5,"ask_size":0.5,"sequence":1}'
    """

    def __init__(self, spec: Spec) -> None:
        self._decimals = spec.decimals
        self._heads = {
            kind: f'{{"event_type":"{kind}","venue":"{VENUE}","symbol":"{spec.symbol}","ts_event":'
            for kind in ("trade", "quote", "order")
        }
        self._sequence = 0
        self._trades = 0

    def trade(self, ts: int, price: float, size: float, sign: int) -> str:
        """A trade whose aggressor bought (1) or sold (-1)."""
        self._trades += 1
        return (
            f'{self._heads["trade"]}{ts},"trade_id":"T{self._trades}","price":{price:.{self._decimals}f},'
            f'"size":{size:.6g},"aggressor_side":"{_SIDES[sign]}"'
        )

    def quote(self, ts: int, bid: float, ask: float, bid_size: float, ask_size: float) -> str:
        """The top of the book."""
        d = self._decimals
        return (
            f'{self._heads["quote"]}{ts},"bid_price":{bid:.{d}f},"bid_size":{bid_size:.6g},'
            f'"ask_price":{ask:.{d}f},"ask_size":{ask_size:.6g}'
        )

    def order(self, ts: int, action: str, order: RestingOrder) -> str:
        """An order event: ``new``, ``cancel`` or ``fill``."""
        filled = f',"leaves_size":0,"last_size":{order.size:.6g}' if action == "fill" else ""
        return (
            f'{self._heads["order"]}{ts},"account_id":"{order.account}","order_id":"{order.order_id}",'
            f'"action":"{action}","side":"{_SIDES[order.sign]}","price":{order.price:.{self._decimals}f},'
            f'"size":{order.size:.6g}{filled}'
        )

    def numbered(self, text: str) -> bytes:
        """The record of an event, with the next sequence number."""
        self._sequence += 1
        return f'{text},"sequence":{self._sequence}}}'.encode()

    def skip(self, count: int) -> None:
        """Skip sequence numbers, as if that many events had been lost on the way."""
        self._sequence += count
