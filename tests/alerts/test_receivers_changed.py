"""Other receivers and routes while deliveries are on their way: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import KEY, notifier, receiver_set
from fakes.slack import FakeSlack, server_error, slow
from fakes.waiting import until

from alerts.receivers.registry import ReceiverSettings, build_receiver
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries


def hook(server: FakeSlack, name: str) -> dict[str, Any]:
    webhook = {"url": server.webhook_url(name), "secret": {"env": "KEY"}, "timeout": "5s"}
    return {"webhook": webhook, "parallel": 1}


def turn(running: Notifier, names: list[str], built: dict[str, Any], to: list[str]) -> None:
    made = {
        name: build_receiver(
            name, ReceiverSettings.model_validate(settings), lambda secret: KEY, SystemClock()
        )
        for name, settings in built.items()
    }
    running.turn_to(receiver_set(made, {"to": to}, names))


def taken(server: FakeSlack, name: str) -> list[str]:
    return [
        json.loads(received.body)["id"]
        for received in server.of(f"webhook/{name}")
        if received.answer == "200"
    ]


@pytest.fixture
def running(database: Database, slack_server: FakeSlack) -> Iterator[Notifier]:
    started = notifier(database, {name: hook(slack_server, name) for name in ("a", "b")}, {"to": ["a", "b"]})
    started.start()
    yield started
    started.stop(0.0)


def test_what_a_removed_receiver_is_owed_waits_for_one_of_its_name(
    running: Notifier, database: Database, slack_server: FakeSlack
) -> None:
    slack_server.always("webhook/b", server_error())
    commit(database, ("e1", 0))
    running.wake()
    until(lambda: taken(slack_server, "a") == ["e1"])
    until(lambda: bool(slack_server.of("webhook/b")))
    turn(running, ["a"], {}, ["a"])
    until(lambda: StoreDeliveries(database).summary()["b"] == {"pending": 1})
    slack_server.always("webhook/b", None)
    commit(database, ("e2", 0), ("e1", 1))
    running.wake()
    until(lambda: taken(slack_server, "a") == ["e1", "e2", "e1"])
    until(running.idle)
    assert taken(slack_server, "b") == []
    turn(running, ["a", "b"], {"b": hook(slack_server, "b")}, ["b"])
    commit(database, ("e3", 0))
    running.wake()
    until(lambda: sorted(taken(slack_server, "b")) == ["e1", "e3"])
    until(running.idle)
    assert taken(slack_server, "a") == ["e1", "e2", "e1"], "the routes are others now"


def test_one_that_takes_the_place_of_another_gets_each_alert_once(
    running: Notifier, database: Database, slack_server: FakeSlack
) -> None:
    slack_server.always("webhook/b", slow(0.3))
    commit(database, *((f"e{number}", 0) for number in range(6)))
    running.wake()
    until(lambda: bool(slack_server.of("webhook/b")))
    turn(running, ["a", "b"], {"b": hook(slack_server, "other")}, ["a", "b"])
    commit(database, ("e0", 1))
    running.wake()
    until(running.idle)
    arrived = taken(slack_server, "b") + taken(slack_server, "other")
    assert sorted(arrived) == sorted([*(f"e{number}" for number in range(6)), "e0"])
    assert len(taken(slack_server, "b")) <= 2, "only the delivery at hand was finished there"
    assert sorted(taken(slack_server, "a")) == sorted(arrived)
    assert running.stop(5.0)
