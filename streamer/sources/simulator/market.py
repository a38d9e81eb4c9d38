"""One simulated instrument: order flow, prices and book put together, and what is planted in it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.simulator.anomaly import Anomaly, PriceShape
from streamer.sources.simulator.book import Book, Resting
from streamer.sources.simulator.flow import Flow, Moments
from streamer.sources.simulator.instruments import Spec
from streamer.sources.simulator.prices import Prices
from streamer.sources.simulator.records import Tape
from streamer.sources.simulator.sessions import draw_pace

_STRETCH_S = 60
_KEEP_ALIVE_S = 4  # a market maker shows a quote at least so often
_PATIENCE_S = 15.0  # how long an order rests, on average
_QUOTED = 0.4  # the share of resting orders that move the top of the book
_SWEPT = 0.15  # how often the next trade of one order is a tick farther
_ACCOUNTS = 24

Event = tuple[int, bytes]
_Due = Callable[[int], None]


class InstrumentMarket:
    """Everything that happens in one instrument; the same for the same seed.

    Parameters
    ----------
    spec
        Which instrument.
    planted
        The anomalies in it, by their beginning.
    plant
        Puts one of them into a market; returns how it bends prices, None where it does not.
    start_ns, seconds
        When the market opens, and how long it runs.
    rng
        Its own source of chance.
    """

    def __init__(
        self,
        spec: Spec,
        planted: Sequence[Anomaly],
        plant: Callable[[InstrumentMarket, Anomaly], PriceShape | None],
        start_ns: int,
        seconds: int,
        rng: np.random.Generator,
    ) -> None:
        self.spec = spec
        self.rng = rng
        self.tape = Tape(spec)
        self._planter = plant
        self._flow = Flow(spec, draw_pace(seconds, rng), start_ns, rng)
        self._prices = Prices(spec, rng)
        self._book = Book()
        self._start_ns, self._seconds = start_ns, seconds
        self._fair = spec.price
        self._agenda: list[tuple[int, int, _Due]] = []
        self._asked = 0
        self._orders = 0
        self._out: list[Event] = []
        self._shapes: list[tuple[Anomaly, PriceShape]] = []
        self._silent_until = 0
        self._quoted_at = start_ns
        for anomaly in planted:
            self.at(anomaly.start_ns, partial(self._plant, anomaly))

    def events(self) -> Iterator[Event]:
        """Its events as (ns, record value), times never falling."""
        for first in range(0, self._seconds, _STRETCH_S):
            last = min(first + _STRETCH_S, self._seconds)
            self._live_through(self._flow.moments(first, last), self._start_ns + last * NS_PER_SECOND)
            yield from self._out
            self._out.clear()

    def at(self, ts: int, due: _Due) -> None:
        """Have something done at a time; what is due at one time is done in the order it was asked for."""
        self._asked += 1
        heapq.heappush(self._agenda, (ts, self._asked, due))

    def emit(self, ts: int, text: str) -> None:
        """An event happens; in a silence nobody hears of it."""
        if ts >= self._silent_until:
            self._out.append((ts, self.tape.numbered(text)))

    def fall_silent(self, until_ns: int) -> None:
        """Nothing of this instrument arrives until then."""
        self._silent_until = until_ns

    def mid(self, ts: int) -> float:
        """What the instrument is worth, with what is planted in its price."""
        shift = sum(shape.shift(ts) for anomaly, shape in self._shapes if anomaly.covers(ts))
        return self._fair * math.exp(shift)

    def quote(self, ts: int) -> None:
        """Show the top of the book."""
        self._quoted_at = ts
        bid, ask = self.touch(ts)
        for anomaly, shape in self._shapes:
            if anomaly.covers(ts):
                bid, ask = shape.quote(bid, ask)
        sizes = self._flow.sizes(2) * 3.0 * self.spec.size
        self.emit(ts, self.tape.quote(ts, bid, ask, float(sizes[0]), float(sizes[1])))

    def touch(self, ts: int) -> tuple[float, float]:
        """Bid and ask around the mid, on whole ticks."""
        tick = self.spec.tick
        width = 1 + int(self.rng.random() < 0.2)
        bid = math.floor(self.mid(ts) / tick) * tick
        return bid, bid + width * tick

    def trade(self, ts: int, sign: int, size: float, price: float | None = None) -> None:
        """A trade at the touch, or at a price."""
        if price is None:
            bid, ask = self.touch(ts)
            price = ask if sign > 0 else bid
        self.emit(ts, self.tape.trade(ts, price, size, sign))

    def order(self, ts: int, action: str, order: Resting) -> None:
        """Something happens to an order."""
        self.emit(
            ts,
            self.tape.order(ts, action, order.order_id, order.account, order.sign, order.price, order.size),
        )

    def new_order(self, ts: int, sign: int, size: float, ticks_away: int) -> Resting:
        """An order comes in behind the touch and rests."""
        self._orders += 1
        bid, ask = self.touch(ts)
        price = bid - ticks_away * self.spec.tick if sign > 0 else ask + ticks_away * self.spec.tick
        account = f"A{int(self.rng.integers(_ACCOUNTS)):02d}"
        order = Resting(f"O{self._orders}", account, sign, price, size)
        self.order(ts, "new", order)
        return order

    def _plant(self, anomaly: Anomaly, _ts: int) -> None:
        shape = self._planter(self, anomaly)
        if shape is not None:
            self._shapes.append((anomaly, shape))

    def _live_through(self, moments: Moments, end_ns: int) -> None:
        fair = self._prices.fair(moments).tolist()
        size = (self._flow.sizes(len(fair)) * self.spec.size).tolist()
        columns = (moments.ts, moments.aggressive, moments.sign, moments.trades)
        for ts, aggressive, sign, trades, worth, each in zip(
            *(column.tolist() for column in columns), fair, size, strict=True
        ):
            self._do_what_is_due(ts)
            self._fair = worth
            if aggressive:
                self._take(ts, sign, trades)
            else:
                self._rest(ts, sign, each)
        self._do_what_is_due(end_ns)

    def _do_what_is_due(self, until_ns: int) -> None:
        while True:
            next_ns = self._agenda[0][0] if self._agenda else until_ns
            alive_ns = self._quoted_at + _KEEP_ALIVE_S * NS_PER_SECOND
            if min(next_ns, alive_ns) >= until_ns:
                return
            if alive_ns <= next_ns:
                self.quote(alive_ns)
            else:
                ts, _, due = heapq.heappop(self._agenda)
                due(ts)

    def _take(self, ts: int, sign: int, trades: int) -> None:
        met = self._book.meet(sign)
        if met is not None:
            self.order(ts, "fill", met)
        bid, ask = self.touch(ts)
        price, farther = (ask, self.spec.tick) if sign > 0 else (bid, -self.spec.tick)
        for size in (self._flow.sizes(trades) * self.spec.size).tolist():
            self.trade(ts, sign, size, price)
            if self.rng.random() < _SWEPT:
                price += farther
        self.quote(ts)

    def _rest(self, ts: int, sign: int, size: float) -> None:
        order = self.new_order(ts, sign, size, int(self.rng.integers(0, 6)))
        self._book.add(order)
        self.at(
            ts + int(self.rng.exponential(_PATIENCE_S) * NS_PER_SECOND), lambda at: self._give_up(at, order)
        )
        if self.rng.random() < _QUOTED:
            self.quote(ts)

    def _give_up(self, ts: int, order: Resting) -> None:
        if not order.gone:
            order.gone = True
            self.order(ts, "cancel", order)
