"""Delivery as a whole: a real store, the notifier, its senders, and a server that misbehaves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.delivering import KEY, QUICK, notifier, receiver_set
from fakes.slack import Answer, FakeSlack, cut, hang, rate_limited, refuse, server_error, slow
from fakes.waiting import until
from sqlalchemy import select, text
from standardwebhooks import Webhook

from streamer.notify.notifier import Notifier
from streamer.notify.retry_pace import RetryPace
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.tables import deliveries, outbox

EPISODES = tuple(f"e{n}" for n in range(4))
ALERTS = tuple(itertools.product(EPISODES, range(3)))  # transition by transition within each episode
ON_ITS_WAY_S = 0.2  # within this, posts that were begun together arrive
Start = Callable[..., Notifier]


def receivers(server: FakeSlack) -> dict[str, Any]:
    bot = {"channel": "#desk", "token": {"env": "TOKEN"}, "api_url": server.api_url, "timeout": "1s"}
    hook = {"url": server.webhook_url("ops"), "secret": {"env": "KEY"}, "timeout": "1s"}
    return {"desk": {"slack": bot}, "ops": {"webhook": hook}}


@pytest.fixture
def start(database: Database, slack_server: FakeSlack, at_work: Callable[[Notifier], Notifier]) -> Start:
    def begin(route: dict[str, Any] | None = None, pace: RetryPace = QUICK) -> Notifier:
        return at_work(notifier(database, receivers(slack_server), route or {}, pace))

    return begin


def at_ops(server: FakeSlack) -> list[tuple[str, int]]:
    """What arrived at the webhook, in order; answered with a success."""
    taken = [received for received in server.of("webhook/ops") if received.answer == "200"]
    for received in taken:
        assert Webhook(KEY).verify(received.body, dict(received.headers))
    return [(received.arguments["id"], received.arguments["number"]) for received in taken]


def in_order(found: list[tuple[str, int]]) -> bool:
    by_episode = {alert_id: [n for other, n in found if other == alert_id] for alert_id, _ in found}
    return all(numbers == sorted(numbers) for numbers in by_episode.values())


def assert_desk_has_everything_once(server: FakeSlack) -> None:
    assert sorted(posted_for(server)) == sorted(EPISODES)
    for message in server.workspace.messages("desk"):
        if message.thread_ts is None:
            states = zip(("WARNING", "CRITICAL", "RESOLVED"), steps(message.texts), strict=True)
            assert all(state in text for state, text in states)


def posted_for(server: FakeSlack) -> list[str]:
    """The episodes that have a message, one entry a message."""
    posted = [message for message in server.workspace.messages("desk") if message.thread_ts is None]
    return [message.metadata["event_payload"]["id"] for message in posted]


def steps(texts: list[str]) -> list[str]:
    """The states a message went through, an edit that was repeated counted once."""
    return [text for text, _ in itertools.groupby(texts)]


def commit_episodes(database: Database) -> None:
    for alert_id, number in ALERTS:
        state = (
            {"severity": "warning"},
            {"severity": "critical"},
            {"severity": "critical", "transition": "resolved"},
        )[number]
        commit(database, (alert_id, number), **state)


def test_everything_arrives_everywhere_in_order(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    commit_episodes(database)
    running = start()
    until(running.idle)
    assert sorted(at_ops(slack_server)) == sorted(ALERTS)
    assert in_order(at_ops(slack_server))
    assert_desk_has_everything_once(slack_server)
    replies = [message for message in slack_server.workspace.messages("desk") if message.thread_ts]
    assert [message.broadcast for message in replies].count(True) == len(EPISODES)  # each rise to critical
    assert len(replies) == 2 * len(EPISODES)
    assert StoreDeliveries(database).summary() == {"desk": {"done": 12}, "ops": {"done": 12}}


def test_a_rise_is_told_by_what_the_receiver_was_told_and_calls_whom_the_route_names(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    route = {"routes": [{"when": 'severity == critical and venue == "XNAS"', "mention": ["@here"]}]}
    running = start(route)
    for number, severity in enumerate(("warning", "warning", "critical", "critical")):
        commit(database, ("e1", number), severity=severity)
        until(running.idle)
    commit(database, ("e2", 0), severity="critical", venue="XLON")
    commit(database, ("e3", 0), severity="critical")
    until(running.idle)
    first, risen, *others = slack_server.workspace.messages("desk")
    assert (first.edits, risen.broadcast, risen.thread_ts) == (3, True, first.ts)
    calling = [message for message in (first, risen, *others) if "<!here>" in str(message.blocks)]
    assert [message.metadata["event_payload"]["id"] for message in calling] == ["e1", "e3"]


def test_why_and_the_border_of_late_come_from_the_configuration_that_runs(
    database: Database, slack_server: FakeSlack
) -> None:
    bot = {"desk": {"slack": receivers(slack_server)["desk"]["slack"]}}
    running = notifier(database, bot, {}, purposes={"fat_finger": "An order far too large."})
    running.start()
    commit(database, ("e1", 0))
    until(running.idle)
    purposes = {"fat_finger": "Now in other words."}
    running.turn_to(receiver_set({}, names=("desk",), purposes=purposes, late_after_s=60.0))
    commit(database, ("e2", 0), behind_s=90.0)
    until(running.idle)
    running.stop(0.0)
    before, after = slack_server.workspace.messages("desk")
    assert "An order far too large." in str(before.blocks)
    assert "Now in other words." in str(after.blocks)
    assert "late by 1m 30s" in after.text


FAULTS = {
    "429": [rate_limited(1)],
    "429 again and again": [rate_limited(0.2)] * 6,
    "429 while posting": [rate_limited(0.2), rate_limited(0.1)] * 4,
    "500": [server_error()] * 8,
    "500 although posted": [server_error(502, applied=True)] * 5,
    "hangs": [hang(2.0)] * 2,
    "hangs although posted": [hang(2.0, applied=True)] * 2,
    "not ok, passing": [refuse("internal_error"), refuse("fatal_error"), refuse("ratelimited")] * 3,
    "cuts": [cut(), cut(applied=True)] * 4,
    "a mixture": [
        cut(applied=True),
        rate_limited(0.3),
        server_error(503),
        refuse("internal_error"),
        hang(1.5),
    ],
}


@pytest.mark.parametrize("answers", FAULTS.values(), ids=FAULTS)
def test_a_receiver_with_troubles_disturbs_nobody_and_gets_everything_later(
    database: Database, slack_server: FakeSlack, start: Start, answers: list[Answer]
) -> None:
    slack_server.script("chat.postMessage", *answers)
    slack_server.script("chat.update", *answers[: len(answers) // 2])
    commit_episodes(database)
    running = start()
    until(lambda: len(at_ops(slack_server)) == len(ALERTS), timeout_s=15)
    until(running.idle, timeout_s=40)
    assert running.failure is None
    assert in_order(at_ops(slack_server))
    assert sorted(at_ops(slack_server)) == sorted(ALERTS)
    assert_desk_has_everything_once(slack_server)


def refused_and_next(server: FakeSlack) -> tuple[float, float]:
    """When a pause was asked for, and when the first post came that was not on its way by then."""
    posts = server.of("chat.postMessage")
    refused = next(each.monotonic for each in posts if each.answer == "ratelimited")
    return refused, min(each.monotonic for each in posts if each.monotonic > refused + ON_ITS_WAY_S)


def test_a_pause_asked_for_is_kept_to_the_second_and_for_everything(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    slack_server.script("chat.postMessage", rate_limited(3))
    commit_episodes(database)
    running = start()
    until(lambda: len(at_ops(slack_server)) == len(ALERTS))
    for _ in range(20):  # neither waking nor new alerts cut the pause short
        running.wake()
        time.sleep(0.02)
    commit(database, ("late", 0))
    running.wake()
    until(running.idle)
    refused, following = refused_and_next(slack_server)
    assert 3.0 <= following - refused < 8.0
    assert slack_server.of("webhook/ops")[len(ALERTS) - 1].monotonic < following
    assert sorted(posted_for(slack_server)) == sorted((*EPISODES, "late"))


def test_a_short_pause_is_kept_too(database: Database, slack_server: FakeSlack, start: Start) -> None:
    slack_server.script("chat.postMessage", rate_limited(0.3))
    commit(database, ("e0", 0), ("e1", 0))
    until(start().idle)
    refused, following = refused_and_next(slack_server)
    assert 0.3 <= following - refused < 4.0
    assert sorted(posted_for(slack_server)) == ["e0", "e1"]


def test_one_episode_that_is_not_taken_does_not_hold_the_others(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    def poison(method: str, arguments: Any) -> Answer | None:
        return server_error() if method == "webhook/ops" and arguments["id"] == "e1" else None

    slack_server.fault = poison
    commit_episodes(database)
    running = start({"to": ["ops"]})
    until(lambda: len(at_ops(slack_server)) == 9)
    assert {alert_id for alert_id, _ in at_ops(slack_server)} == {"e0", "e2", "e3"}
    assert not running.idle()
    slack_server.fault = lambda method, arguments: None
    until(running.idle)
    assert at_ops(slack_server)[-3:] == [("e1", 0), ("e1", 1), ("e1", 2)]


def test_a_permanent_error_is_parked_shown_and_told_through_another_receiver(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    slack_server.always("chat.postMessage", refuse("channel_not_found"))
    commit_episodes(database)
    running = start({"to": ["desk"], "routes": [{"when": 'symbol == "ACME"', "to": ["desk", "ops"]}]})
    until(lambda: len(at_ops(slack_server)) == len(ALERTS) + 1)
    until(running.idle)
    told = next(
        received.arguments
        for received in slack_server.of("webhook/ops")
        if received.arguments["origin"] == "service"
    )
    assert told["rule"] == "delivery_parked"
    assert told["source"]["receiver"] == "desk"
    assert told["source"]["reason"] == "channel_not_found"
    assert "desk" in told["text"]
    assert StoreDeliveries(database).summary()["desk"] == {"parked": 4, "pending": 8}
    with database.read() as connection:
        errors = connection.scalars(select(deliveries.c.error).where(deliveries.c.state == "parked")).all()
        assert errors == ["channel_not_found"] * 4
    assert len(slack_server.of("chat.postMessage")) == 4  # once each, and nothing about itself

    slack_server.always("chat.postMessage", None)
    assert StoreDeliveries(database).unpark("desk") == 4
    until(running.idle)
    assert_desk_has_everything_once(slack_server)
    assert StoreDeliveries(database).summary()["desk"] == {"done": 12}


def test_a_server_that_is_down_is_not_hammered_and_gets_everything_when_it_is_up(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeSlack() as first:
        settings = receivers(first)
        port = int(first.url.rpartition(":")[2])
    commit_episodes(database)
    running = notifier(database, settings, {})
    running.start()
    time.sleep(1.0)
    with database.read() as connection:
        tried = connection.execute(text("SELECT sum(attempts) FROM deliveries")).scalar()
    assert 2 <= tried <= 30
    with FakeSlack(port=port) as second:
        until(running.idle)
        assert sorted(at_ops(second)) == sorted(ALERTS)
        assert_desk_has_everything_once(second)
        assert running.stop(1.0)


def test_a_receiver_that_is_slow_holds_nobody(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    slack_server.always("chat.postMessage", slow(0.8))
    commit_episodes(database)
    running = start()
    until(lambda: len(at_ops(slack_server)) == len(ALERTS))
    assert not running.idle()
    slack_server.always("chat.postMessage", None)
    until(running.idle)
    assert_desk_has_everything_once(slack_server)


def test_stopping_delivers_what_is_owed_first(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    running = start()
    commit_episodes(database)
    assert running.stop(10.0)
    assert StoreDeliveries(database).summary() == {"desk": {"done": 12}, "ops": {"done": 12}}


def test_stopping_does_not_wait_for_ever_and_what_is_left_goes_out_after_the_next_start(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    slack_server.always("chat.postMessage", rate_limited(60))
    commit_episodes(database)
    running = start()
    until(lambda: len(at_ops(slack_server)) == len(ALERTS))
    began = time.monotonic()
    assert not running.stop(0.3)
    assert time.monotonic() - began < 30
    slack_server.always("chat.postMessage", None)
    with database.write() as connection:
        connection.execute(deliveries.update().values(next_at=0.0))
    again = start()
    until(again.idle)
    assert_desk_has_everything_once(slack_server)
    assert len(at_ops(slack_server)) == len(ALERTS)


def test_a_pause_asked_for_holds_over_a_restart(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    slack_server.script("chat.postMessage", rate_limited(2))
    commit(database, ("e0", 0))
    running = start({"to": ["desk"]})
    slack_server.wait_for(lambda server: server.of("chat.postMessage"))
    until(lambda: StoreDeliveries(database).summary()["desk"] == {"pending": 1})
    running.stop(0.0)
    until(start({"to": ["desk"]}).idle)
    refused, following = slack_server.of("chat.postMessage")
    assert 1.9 <= following.monotonic - refused.monotonic < 8.0


def test_who_heard_an_episode_begin_hears_it_end(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    route = {"to": ["desk"], "routes": [{"when": "severity == critical", "to": ["desk", "ops"]}]}
    commit(database, ("a", 0), severity="warning")
    commit(database, ("a", 1), severity="critical")
    running = start(route)
    until(running.idle)
    commit(database, ("a", 2), severity="info", transition="resolved")
    running.wake()
    until(running.idle)
    assert at_ops(slack_server) == [("a", 1), ("a", 2)]


def test_a_body_that_no_message_can_be_made_of_is_parked_and_the_sender_lives(
    database: Database, slack_server: FakeSlack, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(database, ("odd", 0), severity="enormous")
    commit(database, ("good", 0))
    running = start({"to": ["desk"]})
    until(running.idle)
    assert running.failure is None
    assert posted_for(slack_server) == ["good"]
    with database.read() as connection:
        assert connection.scalars(select(deliveries.c.error).where(deliveries.c.state == "parked")).all() == [
            "internal_KeyError"
        ]
    (told,) = slack_server.of("webhook/ops")
    assert told.arguments["source"]["delivery"] == "odd-0"
    printed = "".join(capsys.readouterr())
    assert "KeyError" in printed
    assert "enormous" in printed
    assert slack_server.token not in printed


def test_a_store_that_fails_ends_the_sender_and_is_told(
    database: Database, slack_server: FakeSlack, start: Start
) -> None:
    with database.write() as connection:
        connection.execute(text("DROP TABLE delivery_steps"))
    commit(database, ("e0", 0))
    running = start()
    until(lambda: running.failure is not None)
    assert "delivery_steps" in str(running.failure)
    began = time.monotonic()
    assert not running.stop(60.0)
    assert time.monotonic() - began < 30


def test_alerts_that_nobody_is_to_get_are_done_with(database: Database, start: Start) -> None:
    commit_episodes(database)
    until(start({"to": []}).idle)
    with database.read() as connection:
        assert connection.execute(select(outbox.c.n).where(outbox.c.routed == 0)).all() == []


def test_many_alerts_are_delivered(database: Database, slack_server: FakeSlack, start: Start) -> None:
    alerts = [(f"e{n}", 0) for n in range(300)]
    commit(database, *alerts)
    running = start({"to": ["ops"]}, replace(QUICK, look_s=5.0))
    until(running.idle)
    assert sorted(at_ops(slack_server)) == sorted(alerts)
