"""A calm market in Binance's format, with one planted event for each rule of the shipped example."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from streamer.messages.logs import Log
from streamer.messages.records import Partition, Record
from streamer.sources.recording.line_format import header_line, record_line, timer_line

START_MS = 1_723_161_255_000
MID = 60_000.0
TICK_SIZE = 0.1
_NS_PER_MS = 1_000_000
_CALM_S = 400


class Market:
    """Writes trades and quotes of one instrument, a second at a time."""

    def __init__(self, seed: int = 5) -> None:
        self.records: list[Record] = []
        self.now_ms = START_MS
        self._random = random.Random(seed)
        self._trade_id = 0

    def trade(self, price: float, size: float) -> None:
        self._trade_id += 1
        self._add(
            {"e": "trade", "E": self.now_ms, "s": "BTCUSDT", "t": self._trade_id, "p": f"{price:.2f}",
             "q": f"{size:.6f}", "T": self.now_ms, "m": self._random.random() < 0.5, "M": True}
        )  # fmt: skip

    def quote(self, bid: float, ask: float, bid_size: float = 1.5, ask_size: float = 1.5) -> None:
        self._add(
            {"e": "bookTicker", "u": self._trade_id, "s": "BTCUSDT", "b": f"{bid:.2f}", "B": f"{bid_size:g}",
             "a": f"{ask:.2f}", "A": f"{ask_size:g}", "T": self.now_ms, "E": self.now_ms}
        )  # fmt: skip

    def calm(self, seconds: int, mid: float = MID) -> None:
        """Small trades around an unmoving mid, a quote each."""
        for _ in range(seconds * 4):
            self.now_ms += 250
            level = mid + self._random.gauss(0, 0.3)
            self.quote(level - TICK_SIZE, level + TICK_SIZE)
            self.trade(
                level + self._random.choice((-TICK_SIZE, TICK_SIZE)), 0.01 + self._random.random() / 50
            )

    def _add(self, event: dict[str, object]) -> None:
        value = json.dumps(event, separators=(",", ":")).encode()
        self.records.append(Record(len(self.records), value, self.now_ms * _NS_PER_MS, b"BTCUSDT"))


def fat_finger(market: Market) -> None:
    market.trade(MID, 50.0)


def price_spike(market: Market) -> None:
    for step in range(8):
        market.now_ms += 100
        market.trade(MID * (1 + 0.0005 * (step + 1)), 0.02)


def price_band(market: Market) -> None:
    market.now_ms += 50
    market.trade(MID * 1.02, 0.02)


def off_market(market: Market) -> None:
    market.now_ms += 50
    market.quote(MID - TICK_SIZE, MID + TICK_SIZE)
    market.trade(MID * 1.007, 0.02)


def volume_spike(market: Market) -> None:
    for _ in range(100):
        market.now_ms += 20
        market.trade(MID, 0.4)


def spread_blowout(market: Market) -> None:
    for _ in range(30):
        market.now_ms += 250
        market.quote(MID * 0.999, MID * 1.001)


def crossed_book(market: Market) -> None:
    for _ in range(10):
        market.now_ms += 250
        market.quote(MID + 5, MID - 5)


def liquidity_drop(market: Market) -> None:
    for _ in range(30):
        market.now_ms += 250
        market.quote(MID * 0.999, MID * 1.001, 0.01, 0.02)


def pump(market: Market) -> None:
    for step in range(1_500):
        market.now_ms += 2
        market.trade(MID * (1 + 0.00002 * step), 0.5)


def one_sided_book(market: Market) -> None:
    for _ in range(30):
        market.now_ms += 250
        market.quote(MID - TICK_SIZE, MID + TICK_SIZE, bid_size=0.0)


def stub_quote(market: Market) -> None:
    for _ in range(10):
        market.now_ms += 250
        market.quote(MID / 2, MID * 2)


def odd_tape(market: Market) -> None:
    for step in range(60):
        market.now_ms += 20
        market.trade(MID * (1 - 0.0001 * step), 5.0)


PLANTED: dict[str, Callable[[Market], None]] = {
    "fat_finger": fat_finger,
    "price_spike": price_spike,
    "price_band": price_band,
    "off_market": off_market,
    "volume_spike": volume_spike,
    "spread_blowout": spread_blowout,
    "crossed_book": crossed_book,
    "liquidity_drop": liquidity_drop,
    "pump": pump,
    "one_sided_book": one_sided_book,
    "stub_quote": stub_quote,
    "odd_tape": odd_tape,
    "stale_feed": lambda market: None,  # what is planted is the silence behind the last event
}


def write_recording(path: Path, topic: str, rule: str | None, *, silence_s: int) -> None:
    """A calm market, what is planted for a rule, and then silence, seen by timers."""
    market = Market()
    market.calm(_CALM_S)
    if rule is not None:
        PLANTED[rule](market)
    lines = [header_line([(Log.of(Partition(topic, "planted", 0)), (0,))])]
    lines += [record_line(0, record) for record in market.records]
    for second in range(1, silence_s + 1):
        lines.append(timer_line(0, second, (market.now_ms + second * 1000) * _NS_PER_MS))
    path.write_bytes(b"\n".join(lines) + b"\n")
