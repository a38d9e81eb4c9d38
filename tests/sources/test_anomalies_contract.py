"""Every kind of anomaly keeps to the contract, which catches those that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contracts import anomalies as contract
from contracts.anomalies import CHECKS, Case, Check, sign_of
from contracts.refused import refused

from streamer.sources.simulator import KINDS
from streamer.sources.simulator.anomalies import AnomalyKind
from streamer.sources.simulator.anomaly import Anomaly
from streamer.sources.simulator.market import InstrumentMarket


def called(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param, KINDS[request.param])


@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_every_anomaly(check: Check, case: Case) -> None:
    check(case)


def nothing(market: InstrumentMarket, planted: Anomaly) -> None:
    """Plant nothing."""


def out_of_order(market: InstrumentMarket, planted: Anomaly) -> None:
    raise RuntimeError("out of order")


def by_chance(market: InstrumentMarket, planted: Anomaly) -> None:
    market.trade(planted.start_ns, 1, np.random.default_rng().uniform(100.0, 200.0) * market.spec.size)


def without_size(market: InstrumentMarket, planted: Anomaly) -> None:
    market.trade(planted.start_ns, 1, -1.0)


def too_early(market: InstrumentMarket, planted: Anomaly) -> None:
    market.trade(planted.start_ns - 10_000_000_000, 1, 200.0 * market.spec.size)


def for_ever_silent(market: InstrumentMarket, planted: Anomaly) -> None:
    market.silence(planted.end_ns + 10**15)


RIGHT = KINDS["fat_finger"]


@pytest.mark.parametrize(
    ("kind", "check", "because"),
    [
        (replace(RIGHT, doc=""), contract.check_registration, None),
        (replace(RIGHT, rules=()), contract.check_registration, None),
        (replace(RIGHT, rules=("thick_finger",)), contract.check_registration, None),
        (replace(RIGHT, among=0), contract.check_registration, None),
        (replace(RIGHT, plant=nothing), contract.check_it_shows, None),
        (replace(RIGHT, plant=out_of_order), contract.check_it_shows, RuntimeError),
        (replace(RIGHT, plant=by_chance), contract.check_the_same_again, None),
        (replace(RIGHT, plant=nothing), contract.check_nothing_is_seen_of_it_before, None),
        (replace(RIGHT, plant=too_early), contract.check_its_events_are_well_formed_and_in_order, None),
        (
            replace(RIGHT, plant=without_size),
            contract.check_its_events_are_well_formed_and_in_order,
            ValueError,
        ),
        (replace(RIGHT, plant=for_ever_silent), contract.check_the_market_goes_on_afterwards, None),
    ],
)
def test_an_anomaly_that_is_wrong_is_caught(
    kind: AnomalyKind, check: Check, because: type[Exception] | None
) -> None:
    with refused(because):
        check(Case("fat_finger", kind))


def test_an_anomaly_of_which_nothing_is_said_is_refused() -> None:
    with pytest.raises(LookupError, match="nothing says how the anomaly 'wash_trade' shows"):
        sign_of("wash_trade")
