"""Writes the small captures beside it: seeded, so that running it again changes nothing.

Run it as ``python tests/data/generate.py``. The Binance-like files have the layout of raw captures (the
receive time in ns, a space, the message) and the habits of real ones: the receiver's clock runs 1.27 s
behind the exchange's, most trades share a millisecond with the one before, spot's quotes have no time of
their own. Into an ordinary random walk they get price spikes, oversized trades, bursts and wide spreads.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
START_MS = 1_722_510_000_000  # 2024-08-01 11:00 UTC
SECONDS = 300
LINES = 12_000
CLOCK_OFFSET_MS = 1_270
NS_PER_MS = 1_000_000

Message = tuple[int, str]
"""The receive time in ns, and the text."""


@dataclass(frozen=True)
class Market:
    """One instrument of the made-up exchange: prices count ticks, sizes count lots."""

    file: str
    symbol: str
    seed: int
    start: int
    tick_decimals: int
    lot_decimals: int
    decimals: tuple[int, int]
    typical_lots: int
    per_second: float
    futures: bool

    def price(self, ticks: int) -> str:
        return _decimal(ticks, self.tick_decimals, self.decimals[0])

    def size(self, lots: int) -> str:
        return _decimal(lots, self.lot_decimals, self.decimals[1])


MARKETS = (
    Market("spot_btcusdt.gz", "BTCUSDT", 11, 6_412_350, 2, 5, (8, 8), 60, 12.5, futures=False),
    Market("spot_ethusdt.gz", "ETHUSDT", 12, 318_420, 2, 4, (8, 8), 300, 12.5, futures=False),
    Market("usdm_btcusdt.gz", "BTCUSDT", 13, 641_200, 1, 3, (2, 3), 16, 12.5, futures=True),
)


def _decimal(number: int, decimals: int, shown: int) -> str:
    whole, part = divmod(number, 10**decimals)
    return f"{whole}.{str(part).zfill(decimals).ljust(shown, '0')[:shown]}"


class Simulation:
    """Walks one market through time; everything it does comes from one seeded generator."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.random = Random(market.seed)
        self.bid = market.start
        self.spread = 1
        self.bid_lots = self.ask_lots = 10 * market.typical_lots
        self.trade_number = 1_000_000 * market.seed
        self.update = 50_000_000 * market.seed
        self.buying = True
        self.spikes = sorted(self.random.uniform(30, SECONDS - 20) for _ in range(6))
        self.bursts = sorted(self.random.uniform(20, SECONDS - 10) for _ in range(8))
        self.wide = sorted(self.random.uniform(20, SECONDS - 10) for _ in range(5))

    def messages(self) -> Iterator[Message]:
        """Trades, quotes and depth, by the exchange's time."""
        now, next_depth = 0.0, 0.1
        while now < SECONDS:
            rate = self.market.per_second * (12 if _within(now, self.bursts, 1.0) else 1)
            now += self.random.expovariate(rate)
            while next_depth <= now:
                yield self._depth(int(next_depth * 1000))
                next_depth += self.random.choice((0.3, 0.4, 0.5))
            at_ms = int(now * 1000)
            if self.random.random() < 0.3:
                yield from self._cluster(now, at_ms)
            for _ in range(1 + int(self.random.expovariate(0.9))):
                yield self._quote(now, at_ms)

    def _cluster(self, now: float, at_ms: int) -> Iterator[Message]:
        """Trades of one taker: one side, one millisecond, price by price."""
        spiking = _within(now, self.spikes, 1.5)
        if self.random.random() < 0.2:
            self.buying = not self.buying
        step = max(1, self.market.start // 1_500) if spiking else 0
        for number in range(1 + int(self.random.expovariate(0.45))):
            lots = max(1, int(self.market.typical_lots * self.random.lognormvariate(-0.5, 1.3)))
            if self.random.random() < 0.004:
                lots *= self.random.choice((60, 150, 400))
            if step and number == 0:
                self.bid += step if self._up(now) else -step
            price = self.bid + self.spread if self.buying else self.bid
            yield self._trade(price, lots, at_ms)
            if self.random.random() < 0.1:
                self.bid += 1 if self.buying else -1

    def _up(self, now: float) -> bool:
        """Spikes go up and down by turns."""
        began = max(time for time in self.spikes if time <= now)
        return self.spikes.index(began) % 2 == 0

    def _trade(self, price: int, lots: int, at_ms: int) -> Message:
        self.trade_number += 1
        market, time = self.market, START_MS + at_ms
        head = {"e": "trade", "E": time + (0 if market.futures else 1)}
        tail = {"s": market.symbol, "t": self.trade_number, "p": market.price(price), "q": market.size(lots)}
        if market.futures:
            event = {**head, "T": time, **tail, "X": "MARKET", "m": not self.buying}
        else:
            event = {**head, **tail, "T": time, "m": not self.buying, "M": True}
        return self._received("trade", event, at_ms)

    def _quote(self, now: float, at_ms: int) -> Message:
        self.update += self.random.choice((1, 1, 1, 2, 4))
        typical = self.market.typical_lots
        if _within(now, self.wide, 3.0):
            self.spread = self.random.choice((8, 12, 20))
        else:
            self.spread = self.random.choice((1, 1, 1, 1, 2, 3))
            self.bid += self.random.choice((-1, 0, 0, 0, 0, 1))
        if self.random.random() < 0.5:
            self.bid_lots = typical * self.random.randint(1, 60)
        else:
            self.ask_lots = typical * self.random.randint(1, 60)
        market, time = self.market, START_MS + at_ms
        body = {
            "u": self.update,
            "s": market.symbol,
            "b": market.price(self.bid),
            "B": market.size(self.bid_lots),
            "a": market.price(self.bid + self.spread),
            "A": market.size(self.ask_lots),
        }
        event = {"e": "bookTicker", **body, "T": time, "E": time} if market.futures else body
        return self._received("bookTicker", event, at_ms)

    def _depth(self, at_ms: int) -> Message:
        market, time = self.market, START_MS + at_ms
        first, self.update = self.update, self.update + self.random.randint(2, 9)
        levels = [
            [[market.price(self.bid - below), market.size(market.typical_lots * self.random.randint(0, 9))]]
            for below in (self.random.randint(1, 20), -self.random.randint(5, 20))
        ]
        transacted = {"T": time - 1} if market.futures else {}
        ids = {"U": first, "u": self.update, **({"pu": first - 1} if market.futures else {})}
        event = {"e": "depthUpdate", "E": time, **transacted, "s": market.symbol, **ids}
        event |= {"b": levels[0], "a": levels[1]}
        return self._received("depth@0ms" if market.futures else "depth@100ms", event, at_ms)

    def _received(self, stream: str, event: dict[str, object], at_ms: int) -> Message:
        delay_us = 2_000 + int(self.random.expovariate(1 / 1_500))
        text = {"stream": f"{self.market.symbol.lower()}@{stream}", "data": event}
        received = (START_MS + at_ms - CLOCK_OFFSET_MS) * NS_PER_MS + delay_us * 1_000
        return received, json.dumps(text, separators=(",", ":"))

    def snapshot(self) -> str:
        """What a capture asks for once, at its beginning."""
        typical = self.market.typical_lots
        bids = [[self.market.price(self.bid - at), self.market.size(typical * at)] for at in range(1, 6)]
        asks = [[self.market.price(self.bid + at), self.market.size(typical * at)] for at in range(1, 6)]
        return json.dumps({"lastUpdateId": self.update, "bids": bids, "asks": asks}, separators=(",", ":"))


def _within(now: float, times: list[float], length: float) -> bool:
    return any(time <= now < time + length for time in times)


def binance_lines(market: Market) -> list[str]:
    """A raw capture: acknowledgement, snapshot, then the streams in the order they were received."""
    simulation = Simulation(market)
    snapshot = simulation.snapshot()
    messages = sorted(simulation.messages(), key=lambda message: message[0])[: LINES - 2]
    began = messages[0][0]
    lines = [(began - 2_000_000, '{"result":null,"id":1}'), (began - 1_000_000, snapshot), *messages]
    return [f"{received} {text}" for received, text in lines]


VENUE = "sim"
SYMBOLS = ("ALFA", "BRAVO", "CHARLIE")
ACCOUNTS = ("a-17", "a-23", "b-04", "b-11", "c-42")


def tapewatch_lines() -> list[str]:
    """Events of every kind in the public schema: three shares, orders and trades of five accounts."""
    random, sequence = Random(21), 0
    lines: list[str] = []
    cents = {symbol: 10_000 + 4_000 * number for number, symbol in enumerate(SYMBOLS)}
    now = START_MS * NS_PER_MS
    lines += [_own("status", symbol, now, state="trading") for symbol in SYMBOLS]
    while len(lines) < 2_400:
        now += int(random.expovariate(1 / 120)) * NS_PER_MS
        symbol, sequence = random.choice(SYMBOLS), sequence + 1
        cents[symbol] += random.choice((-1, 0, 0, 1)) + (80 if random.random() < 0.003 else 0)
        lines.append(_any_event(random, symbol, cents[symbol], now, sequence))
    return [*lines, *(_own("status", symbol, now, state="close") for symbol in SYMBOLS)]


def _any_event(random: Random, symbol: str, cents: int, now: int, sequence: int) -> str:
    chance = random.random()
    size = 100 * random.randint(1, 9) * (80 if random.random() < 0.01 else 1)
    envelope = {"ts_recv": now + 350_000, "sequence": sequence}
    if chance < 0.35:
        spread = 2 if random.random() < 0.98 else 60
        return _own(
            "quote", symbol, now, **envelope, bid_price=cents / 100, bid_size=size,
            ask_price=(cents + spread) / 100, ask_size=100 * random.randint(1, 9),
        )  # fmt: skip
    if chance < 0.60:
        buyer = random.choice(ACCOUNTS)
        return _own(
            "trade", symbol, now, **envelope, trade_id=f"t{sequence}",
            price=(cents + random.choice((0, 2))) / 100, size=size,
            aggressor_side=random.choice(("buy", "sell", "none")), buyer_account=buyer,
            seller_account=buyer if random.random() < 0.01 else random.choice(ACCOUNTS),
        )  # fmt: skip
    if chance < 0.92:
        action = random.choice(("new", "new", "new", "cancel", "cancel", "replace", "fill", "partial_fill"))
        return _own(
            "order", symbol, now, **envelope, account_id=random.choice(ACCOUNTS), order_id=f"o{sequence}",
            action=action, side=random.choice(("buy", "sell")), price=cents / 100, size=size,
            leaves_size=0 if action in {"cancel", "fill"} else size,
        )  # fmt: skip
    if chance < 0.97:
        return _own("metric", symbol, now, value=round(random.gauss(50, 4), 3))
    return _own("heartbeat", symbol, now, **envelope)


def _own(kind: str, symbol: str, ts: int, **fields: object) -> str:
    event = {"event_type": kind, "venue": VENUE, "symbol": symbol, "ts_event": ts, **fields}
    return json.dumps(event, separators=(",", ":"))


def csv_lines() -> list[str]:
    """Trades as a table: quiet, then bought up within seconds, then given back."""
    random, lines = Random(31), ["ts_ms,side,price,amount"]
    at_ms, units = START_MS, 2_140
    pump_ms = START_MS + 1_500_000
    while len(lines) < 4_001:
        pumped = 0 <= at_ms - pump_ms < 20_000
        at_ms += int(random.expovariate(1 / (12 if pumped else 900)))
        buying = random.random() < (0.93 if pumped else 0.5)
        for _ in range(1 + int(random.expovariate(0.6))):
            units = max(500, units + (random.choice((0, 1)) if buying else random.choice((0, 0, -1))))
            amount = round(random.lognormvariate(6.0 if pumped else 4.5, 1.1), 1)
            lines.append(f"{at_ms},{'buy' if buying else 'sell'},{units / 1e8:.8f},{amount}")
    return lines[:4_001]


def captures() -> dict[str, list[str]]:
    """Every capture's lines by the name of its file."""
    found = {market.file: binance_lines(market) for market in MARKETS}
    return {**found, "tapewatch.jsonl.gz": tapewatch_lines(), "trades.csv.gz": csv_lines()}


def main() -> None:
    """Write them all."""
    for name, lines in captures().items():
        data = ("\n".join(lines) + "\n").encode()
        (HERE / name).write_bytes(gzip.compress(data, compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
