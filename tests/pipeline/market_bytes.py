"""Records as an exchange sends them: a small market with quiet stretches, jumps and junk, from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from streamer.messages.records import NO_TIME, Partition, Record

S = 1_000_000_000
MS = 1_000_000
T0 = 1_700_000_000 * S
LOG = Partition("trades", "t1", 0)


def trade(at_ns: int, price: float, size: float = 1.0, symbol: str = "BTC", **more: Any) -> bytes:
    event = {"event_type": "trade", "symbol": symbol, "ts_event": at_ns, "price": price, "size": size}
    return json.dumps(event | more).encode()


def quote(at_ns: int, bid: float, ask: float, symbol: str = "BTC") -> bytes:
    sides = {"bid_price": bid, "bid_size": 1.0, "ask_price": ask, "ask_size": 1.0}
    return json.dumps({"event_type": "quote", "symbol": symbol, "ts_event": at_ns, **sides}).encode()


def binance_trade(at_ns: int, price: float, size: float, symbol: str = "BTC") -> bytes:
    fields = {"e": "trade", "s": symbol, "t": 7, "p": f"{price:.2f}", "q": f"{size:.4f}", "m": True}
    return json.dumps(fields | {"T": at_ns // MS}).encode()


def binance_book(bid: float, ask: float, symbol: str = "BTC") -> bytes:
    fields = {"u": 1, "s": symbol, "b": f"{bid:.2f}", "B": "1.0", "a": f"{ask:.2f}", "A": "2.0"}
    return json.dumps(fields).encode()


JUNK: tuple[bytes | None, ...] = (
    None,
    b"",
    b"{",
    b"\xff\xfe",
    b"[1, 2",
    b'{"event_type": "trade", "symbol": "BTC"}',
    b'{"event_type": "trade", "symbol": "BTC", "ts_event": 5, "price": 1e300, "size": 1}',
    b'{"e": "depthUpdate", "s": "BTC"}',
    b'{"result": null, "id": 1}',
)


def records(values: Sequence[tuple[int, bytes | None]], first: int = 0) -> list[Record]:
    """Records of values with their times (ns), at offsets one after another."""
    return [
        Record(first + at, value, NO_TIME if ts == NO_TIME else ts // MS * MS)
        for at, (ts, value) in enumerate(values)
    ]


def market(
    count: int, seed: int = 1, *, symbols: int = 3, junk: float = 0.05, first: int = 0, holes: float = 0.0
) -> list[Record]:
    """`count` records of trades and quotes, some junk, some late, some from the future."""
    chance = random.Random(seed)
    names = [f"S{number}" for number in range(symbols)]
    price = {name: 100.0 * (1 + number) for number, name in enumerate(names)}
    found: list[Record] = []
    now, offset = T0, first
    for _ in range(count):
        now += int(chance.expovariate(1 / (100 * MS)))
        if chance.random() < 0.01:
            now += 20 * S
        name = chance.choice(names)
        price[name] *= 1 + chance.gauss(0, 2e-4) + (0.004 if chance.random() < 0.01 else 0.0)
        ts = now - int(chance.random() * 2 * S) if chance.random() < 0.1 else now
        if chance.random() < 0.01:
            ts = now + 600 * S
        value: bytes | None
        if chance.random() < junk:
            value = chance.choice(JUNK)
        elif chance.random() < 0.3:
            value = quote(ts, price[name] - 0.01, price[name] + 0.01 * (1 + chance.random()), name)
        else:
            size = chance.lognormvariate(0, 1) * (80 if chance.random() < 0.02 else 1)
            value = trade(ts, round(price[name], 4), size, name, trade_id=str(offset))
        found.append(Record(offset, value, now // MS * MS))
        offset += 1 if chance.random() >= holes else chance.randint(2, 6)
    return found
