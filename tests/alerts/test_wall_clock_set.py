"""The wall clock is set back or forward while deliveries wait: each goes out when it was to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import KEY, QUICK, notifier
from fakes.slack import Answer, FakeSlack, rate_limited, server_error

from alerts.receivers.receiver import Delivery, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from streamer.notify.notifier import Notifier
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries

HOUR_S, YEARS_S = 3_600.0, 10 * 365 * 86_400.0
WAIT_S, AT_MOST_S = 1.5, 6.0
PATIENT = replace(QUICK, attempts=1, deferral_s=WAIT_S, longest_deferral_s=WAIT_S)
MINUTES = replace(QUICK, attempts=1, deferral_s=600.0, longest_deferral_s=600.0)


class SetClock:
    """The machine's wall clock, which a test sets."""

    def __init__(self) -> None:
        self.set_by = 0.0

    def now(self) -> float:
        return time.time() + self.set_by


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def start(
    database: Database, slack_server: FakeSlack, clock: SetClock, at_work: Callable[[Notifier], Notifier]
) -> Callable[..., Notifier]:
    def begin(pace: Any = PATIENT, cap: str = "off", cap_window_s: float = 60.0) -> Notifier:
        hook = {"url": slack_server.webhook_url("ops"), "secret": {"env": "KEY"}}
        settings = {"ops": {"webhook": hook, "cap": cap}}
        return at_work(notifier(database, settings, {}, pace, cap_window_s, clock))

    return begin


def until(condition: Callable[[], object], timeout_s: float = AT_MOST_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def waited(server: FakeSlack) -> float:
    """Seconds between the first two messages."""
    first, second, *_ = server.of("webhook/ops")
    return second.monotonic - first.monotonic


@pytest.mark.parametrize("set_by", [-HOUR_S, HOUR_S, -YEARS_S])
@pytest.mark.parametrize("answer", [server_error(503), rate_limited(WAIT_S)], ids=["error", "asked to wait"])
def test_a_retry_waits_as_long_as_it_was_to(
    set_by: float,
    answer: Answer,
    database: Database,
    slack_server: FakeSlack,
    clock: SetClock,
    start: Callable[..., Notifier],
) -> None:
    slack_server.script("webhook/ops", answer)
    commit(database, ("a", 0))
    running = start()
    until(lambda: StoreDeliveries(database).next_due("ops"))
    clock.set_by = set_by
    until(running.idle)
    assert WAIT_S - 0.1 <= waited(slack_server) < WAIT_S + 10  # not the hour that the clock was set by


@pytest.mark.parametrize("set_by", [-HOUR_S, -YEARS_S, HOUR_S])
def test_a_clock_that_was_set_between_two_starts_keeps_nothing_back(
    set_by: float,
    database: Database,
    slack_server: FakeSlack,
    clock: SetClock,
    start: Callable[..., Notifier],
) -> None:
    slack_server.always("webhook/ops", server_error(503))
    commit(database, ("a", 0))
    first = start(MINUTES)
    until(lambda: StoreDeliveries(database).next_due("ops"))
    first.stop(0.0)
    slack_server.always("webhook/ops", None)
    clock.set_by = set_by
    until(start(MINUTES).idle)


def test_a_time_that_is_further_off_than_any_wait_is_due(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    commit(database, ("a", 0))
    first = start(MINUTES)
    until(lambda: slack_server.of("webhook/ops"))
    until(first.idle)
    first.stop(0.0)
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE deliveries SET state = 'pending', next_at = ?", (time.time() + 2 * 86_400,)
        )
    until(start(MINUTES).idle)


@pytest.mark.parametrize("set_by", [-HOUR_S, HOUR_S])
def test_a_cap_counts_the_same_messages(
    set_by: float,
    database: Database,
    slack_server: FakeSlack,
    clock: SetClock,
    start: Callable[..., Notifier],
) -> None:
    commit(database, ("a", 0), ("b", 0), severity="warning")
    running = start(cap="1/m", cap_window_s=WAIT_S)
    until(lambda: slack_server.of("webhook/ops"))
    clock.set_by = set_by
    until(running.idle)
    assert WAIT_S - 0.1 <= waited(slack_server) < WAIT_S + 10  # not the hour that the clock was set by


@pytest.mark.parametrize("set_by", [-HOUR_S, HOUR_S])
def test_a_date_to_wait_for_is_read_by_the_clock_of_the_answer(
    set_by: float, slack_server: FakeSlack, clock: SetClock
) -> None:
    when = formatdate(time.time() + 30, usegmt=True)
    slack_server.script("webhook/ops", Answer(status=503, headers={"Retry-After": when}, body="later"))
    settings = {"webhook": {"url": slack_server.webhook_url("ops"), "secret": {"env": "KEY"}}}
    clock.set_by = set_by
    receiver = build_receiver("ops", ReceiverSettings.model_validate(settings), lambda _: KEY, clock)
    with pytest.raises(RetryableError) as raised:
        receiver.deliver(
            Delivery("a", 0, "ops", b"{}", 0, in_doubt=False, steps={}, earlier=()), lambda *_: None
        )
    assert raised.value.retry_after_s == pytest.approx(30, abs=3)
