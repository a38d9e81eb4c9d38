"""A receiver that was away for longer than criticals wait for each other: all is told when it is back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fakes.alert_bodies import commit
from fakes.delivering import QUICK, receiver_set
from fakes.delivering import notifier as delivering
from fakes.slack import Answer, FakeSlack, rate_limited
from fakes.waiting import until

from alerts.receivers.receiver import Delivery, RetryableError
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.notify.retry_pace import RetryPace
from streamer.notify.sender_context import SenderContext
from streamer.store.database import Database

WINDOW_S = 0.6  # of the cap: criticals are summed up after 0.05 s


class Line:
    """A receiver that is reached while it is `up`."""

    def __init__(self) -> None:
        self.up = False
        self.tried = 0
        self.got: list[str] = []

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        self.tried += 1
        if not self.up:
            raise RetryableError("unreachable: connection refused", everything=True)
        self.got.append(delivery.body.decode())


def running(
    database: Database, line: object, pace: RetryPace = QUICK, window_s: float = WINDOW_S
) -> Notifier:
    known = receiver_set({"ops": line}, caps={"ops": 20}, cap_window_s=window_s)  # type: ignore[dict-item]
    notifier = Notifier(known, SenderContext(database, SystemClock(), pace))
    notifier.start()
    return notifier


def test_criticals_that_waited_through_an_outage_are_sent_when_it_is_over(database: Database) -> None:
    line = Line()
    notifier = running(database, line)
    try:
        commit(database, (f"{0:032x}", 0))
        notifier.wake()
        until(lambda: line.tried >= 3)
        commit(database, *((f"{n:032x}", 0) for n in range(1, 5)))
        notifier.wake()
        time.sleep(3 * WINDOW_S / 12)  # each has waited long enough for a summary
        until(lambda: line.tried >= 9)
        line.up = True
        until(notifier.idle)
    finally:
        notifier.stop(1.0)
    assert all(any(f"{n:032x}"[:8] in body for body in line.got) for n in range(5))


def test_of_a_large_pile_those_that_go_by_themselves_are_sent_before_all_are_named(
    database: Database,
) -> None:
    commit(database, ("first", 0))
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO outbox (alert_id, number, origin, transition, rule, severity, ts_event_ns, body, "
            "config_hash, created_at, routed) WITH RECURSIVE k(i) AS "
            "(VALUES (0) UNION ALL SELECT i + 1 FROM k WHERE i + 1 < 2000) "
            "SELECT 'x' || i, 0, origin, transition, rule, severity, 0, body, '', 0, 1 FROM k, outbox"
        )
        connection.exec_driver_sql(
            "INSERT INTO deliveries (outbox_n, alert_id, number, receiver, state, ready, rank) "
            "SELECT n, alert_id, 0, 'ops', 'pending', 1, 0 FROM outbox WHERE routed"
        )
    named: list[int] = []

    class Desk:
        def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
            with database.read() as connection:
                summed = "SELECT count(*) FROM deliveries WHERE state = 'summarised'"
                named.append(connection.exec_driver_sql(summed).scalar_one())

    notifier = running(database, Desk(), window_s=60.0)
    try:
        until(lambda: len(named) >= 5)
    finally:
        notifier.stop(0.0)
    assert named[0] <= 550


def test_a_new_critical_does_not_wait_for_the_rest_of_an_outages_pause(database: Database) -> None:
    line = Line()
    pace = replace(QUICK, deferral_s=300.0, longest_deferral_s=300.0, least_pause_s=0.05)
    notifier = running(database, line, pace)
    try:
        commit(database, ("a" * 32, 0), severity="warning")
        notifier.wake()
        until(lambda: line.tried >= 3)
        line.up = True
        commit(database, ("b" * 32, 0))
        notifier.wake()
        until(lambda: line.got)
    finally:
        notifier.stop(0.0)


def test_a_stop_tries_a_new_critical_in_an_outages_pause(database: Database) -> None:
    line = Line()
    pace = replace(QUICK, deferral_s=300.0, longest_deferral_s=300.0, least_pause_s=0.5)
    notifier = running(database, line, pace)
    try:
        commit(database, ("a" * 32, 0), severity="warning")
        notifier.wake()
        until(lambda: line.tried >= 3)
        line.up = True
        commit(database, ("b" * 32, 0))
    finally:
        notifier.stop(4.0)  # the warning's own time is later
    assert line.got


def test_when_slack_wants_fewer_edits_messages_go_on(database: Database, slack_server: FakeSlack) -> None:
    edits: list[str] = []

    def fault(method: str, arguments: Mapping[str, Any]) -> Answer | None:
        if method != "chat.update":
            return None
        edits.append(method)
        return rate_limited(60)

    slack_server.fault = fault
    settings = {"channel": "#desk", "token": {"env": "TOKEN"}, "api_url": slack_server.api_url}
    desk = delivering(database, {"desk": {"slack": settings, "cap": "20/m"}}, {})

    def texts() -> list[str]:
        return [each.arguments["text"] for each in slack_server.received if each.answer == "200"]

    desk.start()
    try:
        commit(database, ("a" * 32, 0), ("b" * 32, 0), severity="warning", symbol="FIRST")
        desk.wake()
        until(lambda: len(texts()) == 2)
        commit(database, ("a" * 32, 1), severity="warning")
        desk.wake()
        until(lambda: edits)
        commit(database, ("b" * 32, 1), severity="warning")
        commit(database, ("c" * 32, 0), severity="warning", symbol="LATER")
        desk.wake()
        until(lambda: any("LATER" in text for text in texts()))
    finally:
        desk.stop(0.0)
    assert len(edits) == 1
