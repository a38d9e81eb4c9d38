"""What is parked is told: in the next message that gets through, in the log, at a start, on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.alert_bodies import commit, delivery
from fakes.delivering import notifier
from fakes.slack import Answer, FakeSlack
from fakes.waiting import until
from sqlalchemy import delete, insert
from structlog.testing import capture_logs

from alerts.receivers.receiver import Delivery, PermanentError, RetryableError
from streamer.notify.attempt import Attempt
from streamer.notify.notifier import Notifier
from streamer.notify.parked_notes import ParkedNotes
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.tables import deliveries

NOTE = "1 alert could not be delivered to ops (http_400): tapewatch alerts --retry-parked ops"


@pytest.fixture
def start(
    database: Database, slack_server: FakeSlack, at_work: Callable[[Notifier], Notifier]
) -> Callable[..., Notifier]:
    def begin(*names: str) -> Notifier:
        hooks = {
            name: {"webhook": {"url": slack_server.webhook_url(name), "secret": {"env": "KEY"}}}
            for name in names
        }
        route = {"to": list(names), "routes": [{"when": "origin == service", "to": []}]}
        return at_work(notifier(database, hooks, route))

    return begin


def refusing(*ids: str) -> Callable[[str, Any], Answer | None]:
    def fault(method: str, arguments: Any) -> Answer | None:
        return Answer(status=400) if method == "webhook/ops" and arguments.get("id") in ids else None

    return fault


def notes(server: FakeSlack, name: str) -> list[tuple[str, int, str | None]]:
    """What arrived, each with its note."""
    return [
        (got.arguments["id"], got.arguments["number"], got.headers.get("tapewatch-note"))
        for got in server.of(f"webhook/{name}")
        if got.answer == "200"
    ]


def put(database: Database, running: Notifier, *alerts: tuple[str, int]) -> None:
    for alert in alerts:
        commit(database, alert)
        running.wake()
        until(running.idle)


def test_the_next_new_message_says_what_is_parked_and_says_it_once(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    slack_server.fault = refusing("bad", "worse", "worst")
    running = start("ops")  # one receiver: nobody else could tell
    put(database, running, ("good", 0), ("bad", 0), ("good", 1), ("next", 0), ("after", 0))
    assert notes(slack_server, "ops") == [
        ("good", 0, None),
        ("good", 1, None),  # in a chat this may be an edit, which notifies nobody
        ("next", 0, NOTE),
        ("after", 0, None),
    ]
    put(database, running, ("worse", 0), ("later", 0), ("worst", 0), ("last", 0))
    two = NOTE.replace("1 alert", "2 alerts")
    assert notes(slack_server, "ops")[-2:] == [("later", 0, two), ("last", 0, None)]  # at 4 it is told again
    slack_server.fault = refusing()
    StoreDeliveries(database).unpark("ops")
    running.wake()
    until(lambda: StoreDeliveries(database).waiting("ops") == {"pending": 0, "parked": 0})
    running.stop(1.0)
    slack_server.fault = refusing("bad again")
    put(database, start("ops"), ("bad again", 0), ("end", 0))
    assert notes(slack_server, "ops")[-1] == ("end", 0, NOTE)


def test_every_receiver_is_told_and_a_start_says_it_again(
    database: Database, slack_server: FakeSlack, start: Callable[..., Notifier]
) -> None:
    slack_server.fault = refusing("bad")
    running = start("ops", "risk")
    put(database, running, ("bad", 0), ("next", 0))
    assert notes(slack_server, "ops") == [("next", 0, NOTE)]
    assert [note for _, _, note in notes(slack_server, "risk") if note] == [NOTE]
    running.stop(1.0)
    with capture_logs() as logged:
        again = start("ops", "risk")
    (told,) = [line for line in logged if line["event"] == "deliveries are parked"]
    assert (told["receiver"], told["count"], told["reason"]) == ("ops", "1", "http_400")
    put(database, again, ("restarted", 0))
    assert notes(slack_server, "risk")[-1] == ("restarted", 0, NOTE)
    assert [(group.receiver, group.count) for group in again.parked] == [("ops", 1)]


def test_a_receiver_that_nothing_gets_through_to_is_told_at_the_others(database: Database) -> None:
    passed = 0.0
    found = ParkedNotes(database, monotonic=lambda: passed)
    found.watch(["ops", "risk"])
    found.failed("ops", "http_503")
    assert found.note_for(delivery("a", receiver="risk")).text == ""  # it may pass
    found.failed("ops", "certificate verify failed: self-signed certificate: name it in ca")
    note = found.note_for(delivery("b", receiver="risk"))
    assert note.text == "nothing gets through to ops (certificate verify failed): tapewatch alerts"
    found.told(note)
    assert found.note_for(delivery("c", receiver="risk")).text == ""
    found.failed("ops", "http_503")
    passed = 301.0
    assert found.failing() == {"ops": "http_503"}
    assert found.note_for(delivery("d", receiver="risk")).text.startswith(
        "nothing gets through to ops (http_503)"
    )
    found.told(found.note_for(delivery("e", receiver="ops")))  # something did
    assert found.failing() == {}


def test_a_receiver_that_refuses_for_good_can_be_reached(database: Database) -> None:
    found = ParkedNotes(database, monotonic=lambda: 0.0)
    found.watch(["ops"])
    answers: list[Exception] = [RetryableError("tls: handshake"), PermanentError("http_400")]

    class Ops:
        def deliver(self, item: Delivery, record: Callable[[str, str], None]) -> None:
            raise answers.pop(0)

    item = delivery("a", receiver="ops")
    with pytest.raises(RetryableError):
        Attempt(Ops(), StoreDeliveries(database), item, found).make()
    assert found.failing() == {"ops": "tls"}
    with pytest.raises(PermanentError):
        Attempt(Ops(), StoreDeliveries(database), item, found).make()
    assert found.failing() == {}


def test_asking_what_is_parked_costs_the_same_however_much_is(database: Database) -> None:
    commit(database, ("first", 0))
    with database.write() as connection:
        row = {"outbox_n": 1, "number": 0, "receiver": "ops", "state": "parked", "error": "http_400"}
        connection.execute(insert(deliveries), [{**row, "alert_id": f"a{n}"} for n in range(3_000)])
    found = ParkedNotes(database, monotonic=lambda: 0.0)
    found.watch(["ops"])
    (group,) = found.groups()
    assert (group.count, group.shown) == (1_000, "1000 or more")
    assert found.note_for(delivery("h", rule="heartbeat", origin="service")).text == ""  # its text says it
    with database.write() as connection:
        connection.execute(delete(deliveries))
    assert found.note_for(delivery("new")).text.startswith("1000 or more alerts")  # it is not asked each time
    with found.parking():
        pass
    assert found.note_for(delivery("new")).text == ""
