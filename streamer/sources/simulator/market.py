"""One simulated instrument: order flow, prices and book combined, and the anomalies planted in it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator.anomaly import Anomaly, PriceShape
from streamer.sources.simulator.book import Book, RestingOrder
from streamer.sources.simulator.flow import Flow, OrderArrivals
from streamer.sources.simulator.instruments import Spec
from streamer.sources.simulator.prices import Prices
from streamer.sources.simulator.records import Tape
from streamer.sources.simulator.sessions import TradingSession, draw_pace

_INTERVAL_S = 60
_KEEP_ALIVE_S = 4  # a market maker refreshes its quote at least this often
_PATIENCE_S = 15.0  # how long an order rests, on average
_QUOTE_SHARE = 0.4  # the share of resting orders that change the top of the book
_SWEEP_P = 0.15  # probability that the next trade of an order is one tick worse
_ACCOUNTS = 24

Event = tuple[int, bytes]
_Action = Callable[[int], None]


class InstrumentMarket:
    """All events of one instrument; the same for the same seed.

    Parameters
    ----------
    spec
        The instrument.
    planted
        The anomalies in it, by their beginning.
    plant
        Plants one of them in a market; returns its effect on prices, None if it has none.
    session
        When the market is open.
    rng
        Its own random generator.
    """

    def __init__(
        self,
        spec: Spec,
        planted: Sequence[Anomaly],
        plant: Callable[[InstrumentMarket, Anomaly], PriceShape | None],
        session: TradingSession,
        rng: np.random.Generator,
    ) -> None:
        self.spec = spec
        self.rng = rng
        self.tape = Tape(spec)
        self._plant_anomaly = plant
        self._flow = Flow(spec, draw_pace(session.seconds, rng), session.start_ns, rng)
        self._prices = Prices(spec, rng)
        self._book = Book()
        self._session = session
        self._fair = spec.price
        self._agenda: list[tuple[int, int, _Action]] = []
        self._scheduled = 0
        self._orders = 0
        self._out: list[Event] = []
        self._shapes: list[tuple[Anomaly, PriceShape]] = []
        self._silent_until = 0
        self._quoted_at = session.start_ns
        for anomaly in planted:
            self.at(anomaly.start_ns, partial(self._plant, anomaly))

    def events(self) -> Iterator[Event]:
        """Its events as (ns, record value), in order of time."""
        seconds, start_ns = self._session.seconds, self._session.start_ns
        for first in range(0, seconds, _INTERVAL_S):
            last = min(first + _INTERVAL_S, seconds)
            self._simulate(self._flow.arrivals(first, last), start_ns + last * NS_PER_SECOND)
            yield from self._out
            self._out.clear()

    def at(self, ts: int, action: _Action) -> None:
        """Schedule an action; actions due at the same time run in the order they were scheduled."""
        self._scheduled += 1
        heapq.heappush(self._agenda, (ts, self._scheduled, action))

    def emit(self, ts: int, text: str) -> None:
        """Send an event, unless the instrument is silent."""
        if ts >= self._silent_until:
            self._out.append((ts, self.tape.numbered(text)))

    def silence(self, until_ns: int) -> None:
        """Send no events of this instrument until then."""
        self._silent_until = until_ns

    def mid(self, ts: int) -> float:
        """The fair price, including the effect of planted anomalies."""
        shift = sum(shape.shift(ts) for anomaly, shape in self._shapes if anomaly.covers(ts))
        return self._fair * math.exp(shift)

    def quote(self, ts: int) -> None:
        """Send a quote of the top of the book."""
        self._quoted_at = ts
        bid, ask = self.touch(ts)
        for anomaly, shape in self._shapes:
            if anomaly.covers(ts):
                bid, ask = shape.quote(bid, ask)
        sizes = self._flow.sizes(2) * 3.0 * self.spec.size
        self.emit(ts, self.tape.quote(ts, bid, ask, float(sizes[0]), float(sizes[1])))

    def touch(self, ts: int) -> tuple[float, float]:
        """Bid and ask around the mid, rounded to ticks."""
        tick = self.spec.tick
        width = 1 + int(self.rng.random() < 0.2)
        bid = math.floor(self.mid(ts) / tick) * tick
        return bid, bid + width * tick

    def trade(self, ts: int, sign: int, size: float, price: float | None = None) -> None:
        """Send a trade, at the touch unless a price is given."""
        if price is None:
            bid, ask = self.touch(ts)
            price = ask if sign > 0 else bid
        self.emit(ts, self.tape.trade(ts, price, size, sign))

    def order(self, ts: int, action: str, order: RestingOrder) -> None:
        """Send an order event."""
        self.emit(ts, self.tape.order(ts, action, order))

    def new_order(self, ts: int, sign: int, size: float, ticks_away: int) -> RestingOrder:
        """Send and return a new order that rests away from the touch."""
        self._orders += 1
        bid, ask = self.touch(ts)
        price = bid - ticks_away * self.spec.tick if sign > 0 else ask + ticks_away * self.spec.tick
        account = f"A{int(self.rng.integers(_ACCOUNTS)):02d}"
        order = RestingOrder(f"O{self._orders}", account, sign, price, size)
        self.order(ts, "new", order)
        return order

    def _plant(self, anomaly: Anomaly, _ts: int) -> None:
        shape = self._plant_anomaly(self, anomaly)
        if shape is not None:
            self._shapes.append((anomaly, shape))

    def _simulate(self, arrivals: OrderArrivals, end_ns: int) -> None:
        prices = self._prices.fair(arrivals).tolist()
        sizes = (self._flow.sizes(len(prices)) * self.spec.size).tolist()
        columns = (arrivals.ts, arrivals.aggressive, arrivals.sign, arrivals.trades)
        for ts, aggressive, sign, trades, price, size in zip(
            *(column.tolist() for column in columns), prices, sizes, strict=True
        ):
            self._run_agenda(ts)
            self._fair = price
            if aggressive:
                self._take(ts, sign, trades)
            else:
                self._rest(ts, sign, size)
        self._run_agenda(end_ns)

    def _run_agenda(self, until_ns: int) -> None:
        while True:
            next_ns = self._agenda[0][0] if self._agenda else until_ns
            alive_ns = self._quoted_at + _KEEP_ALIVE_S * NS_PER_SECOND
            if min(next_ns, alive_ns) >= until_ns:
                return
            if alive_ns <= next_ns:
                self.quote(alive_ns)
            else:
                ts, _, action = heapq.heappop(self._agenda)
                action(ts)

    def _take(self, ts: int, sign: int, trades: int) -> None:
        matched = self._book.match(sign)
        if matched is not None:
            self.order(ts, "fill", matched)
        bid, ask = self.touch(ts)
        price, step = (ask, self.spec.tick) if sign > 0 else (bid, -self.spec.tick)
        for size in (self._flow.sizes(trades) * self.spec.size).tolist():
            self.trade(ts, sign, size, price)
            if self.rng.random() < _SWEEP_P:
                price += step
        self.quote(ts)

    def _rest(self, ts: int, sign: int, size: float) -> None:
        order = self.new_order(ts, sign, size, int(self.rng.integers(0, 6)))
        self._book.add(order)
        self.at(
            ts + int(self.rng.exponential(_PATIENCE_S) * NS_PER_SECOND), lambda at: self._cancel(at, order)
        )
        if self.rng.random() < _QUOTE_SHARE:
            self.quote(ts)

    def _cancel(self, ts: int, order: RestingOrder) -> None:
        if not order.closed:
            order.closed = True
            self.order(ts, "cancel", order)
