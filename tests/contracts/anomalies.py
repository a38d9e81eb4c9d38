"""What every kind of anomaly in the simulated market keeps to.

A new kind needs a rig in `SHOWS`: what there is to see of it, in the events of the minute before and of the
time that it lasts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pytest

from alerts.catalogue.files import read_set, set_names
from streamer.decoding.event_schema import EVENT
from streamer.sources.simulator import INSTRUMENTS, KINDS, OPENS_NS
from streamer.sources.simulator.anomalies import AnomalyKind
from streamer.sources.simulator.anomaly import Anomaly
from streamer.sources.simulator.market import InstrumentMarket
from streamer.sources.simulator.sessions import TradingSession

NS = 10**9
SESSION = TradingSession(OPENS_NS, 420)
STARTS_NS = OPENS_NS + 240 * NS

Events = list[dict[str, Any]]


def of(found: Sequence[dict[str, Any]], kind: str) -> Events:
    return [event for event in found if event["event_type"] == kind]


@dataclass(frozen=True)
class Seen:
    """The events of an instrument: the minute before an anomaly, while it lasts, and after."""

    before: Events
    now: Events
    after: Events


def fat_finger(seen: Seen) -> None:
    usual = np.mean([trade["size"] for trade in of(seen.before, "trade")])
    sizes = [trade["size"] for trade in of(seen.now, "trade")]
    assert max(sizes, default=0.0) > 50 * usual


def flash_move(seen: Seen) -> None:
    prices = [trade["price"] for trade in of(seen.now, "trade")]
    began = of(seen.before, "trade")[-1]["price"]
    assert min(prices, default=began) < 0.99 * began
    assert prices[-1] == pytest.approx(began, rel=0.003)


def volume_burst(seen: Seen) -> None:
    usual = sum(trade["price"] * trade["size"] for trade in of(seen.before, "trade"))
    assert sum(trade["price"] * trade["size"] for trade in of(seen.now, "trade")) > 2 * usual


def quote_stuffing(seen: Seen) -> None:
    actions = [order["action"] for order in of(seen.now, "order")]
    assert len(actions) > 900
    assert actions.count("fill") < 0.02 * actions.count("new")


def stale_feed(seen: Seen) -> None:
    assert of(seen.now, "trade") == []
    assert len(seen.now) <= 1
    assert seen.after[0]["sequence"] == (seen.now or seen.before)[-1]["sequence"] + 1, "no number is lost"


def crossed_book(seen: Seen) -> None:
    quotes = of(seen.now, "quote")
    assert len(quotes) >= 8
    assert all(quote["bid_price"] > quote["ask_price"] for quote in quotes)


def spoofing(seen: Seen) -> None:
    shown = max(of(seen.now, "order"), key=lambda order: order["size"])
    story = [order["action"] for order in of(seen.now, "order") if order["order_id"] == shown["order_id"]]
    assert story == ["new", "cancel"]
    assert any(order["action"] == "fill" and order["side"] == "sell" for order in of(seen.now, "order"))


def sequence_gap(seen: Seen) -> None:
    found = [*seen.before, *seen.now, *seen.after]
    steps = np.diff([event["sequence"] for event in found])
    assert steps.max() == 26
    assert found[int(steps.argmax()) + 1]["ts_event"] == STARTS_NS


def off_market_print(seen: Seen) -> None:
    mid = of(seen.before, "quote")[-1]["bid_price"]
    assert min(trade["price"] for trade in of(seen.now, "trade")) == pytest.approx(0.991 * mid, rel=0.001)
    assert all(quote["bid_price"] == pytest.approx(mid, rel=0.001) for quote in of(seen.now, "quote"))


def spread_blowout(seen: Seen) -> None:
    quotes = of(seen.now, "quote")
    assert len(quotes) >= 15
    assert all(quote["ask_price"] / quote["bid_price"] - 1 > 0.0025 for quote in quotes)


SHOWS: Mapping[str, Callable[[Seen], None]] = {
    "fat_finger": fat_finger,
    "flash_move": flash_move,
    "volume_burst": volume_burst,
    "quote_stuffing": quote_stuffing,
    "stale_feed": stale_feed,
    "crossed_book": crossed_book,
    "spoofing": spoofing,
    "sequence_gap": sequence_gap,
    "off_market_print": off_market_print,
    "spread_blowout": spread_blowout,
}


def sign_of(name: str) -> Callable[[Seen], None]:
    """What there is to see of a kind.

    Raises
    ------
    LookupError
        When nothing is said of it.
    """
    if name not in SHOWS:
        raise LookupError(f"nothing says how the anomaly {name!r} shows: add it to SHOWS in {__name__}")
    return SHOWS[name]


@dataclass
class Case:
    """A kind under the name it is registered as, planted once in one of the busier instruments."""

    name: str
    kind: AnomalyKind

    @property
    def planted(self) -> Anomaly:
        lasts = round(self.kind.lasts_s * NS)
        return Anomaly(self.name, self.spec.symbol, STARTS_NS, STARTS_NS + lasts)

    @property
    def spec(self) -> Any:
        return sorted(INSTRUMENTS, key=lambda spec: -spec.activity)[5]

    def market(self, planted: Sequence[Anomaly]) -> list[tuple[int, bytes]]:
        def plant(market: InstrumentMarket, anomaly: Anomaly) -> Any:
            return self.kind.plant(market, anomaly)

        chance = np.random.default_rng(3)
        return list(InstrumentMarket(self.spec, planted, plant, SESSION, chance).events())

    @cached_property
    def events(self) -> list[tuple[int, bytes]]:
        return self.market([self.planted])

    @cached_property
    def seen(self) -> Seen:
        found = [json.loads(value) for _, value in self.events]
        first, last = self.planted.start_ns, self.planted.end_ns
        return Seen(
            [event for event in found if first - 60 * NS <= event["ts_event"] < first],
            [event for event in found if self.planted.covers(event["ts_event"])],
            [event for event in found if last < event["ts_event"]],
        )


@cache
def undisturbed() -> list[tuple[int, bytes]]:
    """The market of a case in which nothing is planted."""
    return Case("fat_finger", KINDS["fat_finger"]).market([])


def check_registration(case: Case) -> None:
    kind = case.kind
    assert case.name.isidentifier()
    assert kind.doc
    assert 0.0 <= kind.lasts_s <= 120.0
    assert kind.among is None or 1 <= kind.among <= len(INSTRUMENTS)
    rules = {rule for name in set_names() for rule in read_set(name)}
    assert kind.rules
    assert set(kind.rules) <= rules, "rules of the catalogue ought to find it"


def check_it_shows(case: Case) -> None:
    sign_of(case.name)(case.seen)


def check_the_same_again(case: Case) -> None:
    assert case.events == case.market([case.planted])


def check_nothing_is_seen_of_it_before(case: Case) -> None:
    quiet = undisturbed()
    before = [event for event in quiet if event[0] < STARTS_NS]
    assert [event for event in case.events if event[0] < STARTS_NS] == before
    assert quiet != case.events


def check_its_events_are_well_formed_and_in_order(case: Case) -> None:
    times = [at for at, _ in case.events]
    assert times == sorted(times)
    for _, value in case.events:
        EVENT.validate_json(value)
    found = [json.loads(value) for _, value in case.events]
    assert [event["ts_event"] for event in found] == times
    numbers = [event["sequence"] for event in found]
    assert numbers == sorted(set(numbers))
    assert {event["symbol"] for event in found} == {case.spec.symbol}


def check_the_market_goes_on_afterwards(case: Case) -> None:
    quotes = [event for event in of(case.seen.after, "quote") if event["ts_event"] > case.planted.end_ns + NS]
    assert of(case.seen.after, "trade")
    assert quotes
    assert all(quote["bid_price"] < quote["ask_price"] for quote in quotes)


Check = Callable[[Case], None]

CHECKS: tuple[Check, ...] = (
    check_registration,
    check_it_shows,
    check_the_same_again,
    check_nothing_is_seen_of_it_before,
    check_its_events_are_well_formed_and_in_order,
    check_the_market_goes_on_afterwards,
)
