"""The kinds of anomalies planted in the simulated market, and the events that each consists of.

Every kind names the rules that ought to find it. Its events are added to the ordinary flow, which continues
meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streamer.sources.simulator.anomaly import Anomaly, PriceShape
from streamer.sources.simulator.market import InstrumentMarket

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class AnomalyKind:
    """A kind of anomaly.

    Parameters
    ----------
    doc
        What happens, in one phrase.
    rules
        Rules of the catalogue that ought to find it.
    lasts_s
        Its duration.
    plant
        Plants it in an instrument's market; returns its effect on prices, None if it has none.
    among
        It is planted only in this many of the busiest instruments, None for all.
    """

    doc: str
    rules: tuple[str, ...]
    lasts_s: float
    plant: Callable[[InstrumentMarket, Anomaly], PriceShape | None]
    among: int | None = None


def _fat_finger(market: InstrumentMarket, planted: Anomaly) -> None:
    market.trade(planted.start_ns, 1, 200.0 * market.spec.size)


def _flash_move(market: InstrumentMarket, planted: Anomaly) -> PriceShape:
    def shift(ts: int) -> float:
        elapsed = (ts - planted.start_ns) / (planted.end_ns - planted.start_ns)
        return -0.012 * min(elapsed / 0.3, (1.0 - elapsed) / 0.7)

    def burst(ts: int) -> None:
        falling = ts - planted.start_ns < 0.3 * (planted.end_ns - planted.start_ns)
        market.quote(ts)
        market.trade(ts, -1 if falling else 1, float(market.rng.uniform(0.5, 2.0)) * market.spec.size)

    for ts in range(planted.start_ns, planted.end_ns, 100 * _MS):
        market.at(ts, burst)
    return PriceShape(shift=shift)


def _volume_burst(market: InstrumentMarket, planted: Anomaly) -> None:
    count = int(30 * max(1.0, market.spec.activity / 2.0))
    size = 45.0 * market.spec.size
    for number in range(count):
        ts = planted.start_ns + number * (planted.end_ns - planted.start_ns) // count
        market.at(ts, lambda at: market.trade(at, 1, size))


def _quote_stuffing(market: InstrumentMarket, planted: Anomaly) -> None:
    def stuff(ts: int) -> None:
        sign = 1 if market.rng.random() < 0.5 else -1
        order = market.new_order(ts, sign, market.spec.size, int(market.rng.integers(3, 9)))
        market.at(ts + _MS, lambda at: market.order(at, "cancel", order))

    for ts in range(planted.start_ns, planted.end_ns, 4 * _MS):
        market.at(ts, stuff)


def _stale_feed(market: InstrumentMarket, planted: Anomaly) -> None:
    market.silence(planted.end_ns)


def _crossed_book(market: InstrumentMarket, planted: Anomaly) -> PriceShape:
    for ts in range(planted.start_ns, planted.end_ns, 250 * _MS):
        market.at(ts, market.quote)
    tick = market.spec.tick
    return PriceShape(quote=lambda bid, ask: (ask + tick, bid - tick))


def _spoofing(market: InstrumentMarket, planted: Anomaly) -> None:
    spec = market.spec
    bait = market.new_order(planted.start_ns, 1, max(40.0 * spec.size, 700_000.0 / spec.price), 2)

    def sell(ts: int) -> None:
        sale = market.new_order(ts, -1, 2.0 * spec.size, 0)
        market.order(ts, "fill", sale)
        market.trade(ts, 1, 2.0 * spec.size)

    market.at(planted.start_ns + 1_200 * _MS, sell)
    market.at(planted.end_ns, lambda ts: market.order(ts, "cancel", bait))


def _sequence_gap(market: InstrumentMarket, planted: Anomaly) -> None:
    market.tape.skip(25)
    market.quote(planted.start_ns)


def _off_market_print(market: InstrumentMarket, planted: Anomaly) -> None:
    ts = planted.start_ns
    market.quote(ts)
    market.trade(ts, -1, market.spec.size, market.mid(ts) * 0.991)


def _spread_blowout(market: InstrumentMarket, planted: Anomaly) -> PriceShape:
    for ts in range(planted.start_ns, planted.end_ns, 500 * _MS):
        market.at(ts, market.quote)
    wide = math.ceil(0.0015 * market.spec.price / market.spec.tick) * market.spec.tick
    return PriceShape(quote=lambda bid, ask: (bid - wide, ask + wide))


KINDS: Mapping[str, AnomalyKind] = MappingProxyType(
    {
        "fat_finger": AnomalyKind(
            "one trade of two hundred times the usual size", ("fat_finger",), 0.0, _fat_finger
        ),
        "flash_move": AnomalyKind(
            "the price falls by 1.2 % in three seconds and recovers in seven",
            ("price_spike", "price_band"),
            10.0,
            _flash_move,
        ),
        "volume_burst": AnomalyKind(
            "thirty or more large trades in three seconds", ("volume_spike",), 3.0, _volume_burst, among=6
        ),
        "quote_stuffing": AnomalyKind(
            "500 order messages a second, cancelled at once, for two seconds",
            ("quote_stuffing",),
            2.0,
            _quote_stuffing,
        ),
        "stale_feed": AnomalyKind("nothing arrives for fifty seconds", ("stale_feed",), 50.0, _stale_feed),
        "crossed_book": AnomalyKind("the bid is above the ask", ("crossed_book",), 4.0, _crossed_book),
        "spoofing": AnomalyKind(
            "a huge bid, a sale against it, then the bid is cancelled", ("spoofing",), 3.0, _spoofing
        ),
        "sequence_gap": AnomalyKind("25 events never arrive", ("sequence_gap",), 0.0, _sequence_gap),
        "off_market_print": AnomalyKind(
            "one trade 0.9 % below the market", ("off_market",), 0.0, _off_market_print
        ),
        "spread_blowout": AnomalyKind(
            "the spread is 30 basis points for ten seconds", ("spread_blowout",), 10.0, _spread_blowout
        ),
    }
)
"""By name. A new kind is a function and an entry here."""


def plant(market: InstrumentMarket, anomaly: Anomaly) -> PriceShape | None:
    """Plant an anomaly in an instrument's market; returns its effect on prices, None if it has none."""
    return KINDS[anomaly.kind].plant(market, anomaly)


def rules_for(anomaly: Anomaly) -> tuple[str, ...]:
    """Rules of the catalogue that ought to find an anomaly.

    >>> rules_for(Anomaly("flash_move", "X", 0, 1))
    ('price_spike', 'price_band')
    """
    return KINDS[anomaly.kind].rules
