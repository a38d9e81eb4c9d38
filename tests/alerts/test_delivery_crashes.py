"""A delivering process killed in the middle of a post, and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import commit
from fakes.slack import FakeSlack, fine, hang, slow
from forked import Forked

from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries

ROOT = Path(__file__).parents[2]
MANY = tuple((f"e{n}", number) for n in range(20) for number in range(2))


def settings(server: FakeSlack) -> dict[str, Any]:
    bot = {"channel": "#desk", "token": {"env": "TOKEN"}, "api_url": server.api_url}
    hook = {"url": server.webhook_url("ops"), "secret": {"env": "KEY"}}
    return {"receivers": {"desk": {"slack": bot}, "ops": {"webhook": hook}}, "route": {}}


@contextmanager
def process(database: Database, wanted: dict[str, Any]) -> Iterator[Forked]:
    path = Path(database.path)
    said, log = path.with_suffix(".said"), path.with_suffix(".log")
    said.write_text("")
    arguments, files = (path, json.dumps(wanted)), (Path(os.devnull), said, log)
    running = Forked(arguments, {}, files, ROOT, program="fakes.delivering")
    try:
        while said.read_text() != "started\n":
            assert running.poll() is None, log.read_text()
            time.sleep(0.005)
        yield running
    finally:
        running.kill()
        running.wait(30)


def killed_when(
    happened: Callable[[FakeSlack], object], server: FakeSlack, database: Database, wanted: dict[str, Any]
) -> None:
    with process(database, wanted) as running:
        server.wait_for(happened)
        os.kill(running.pid, signal.SIGKILL)
        assert running.wait(90) == -signal.SIGKILL


def finished(database: Database, wanted: dict[str, Any]) -> None:
    with process(database, wanted) as running:
        assert running.wait(60) == 0


def test_killed_while_slack_holds_the_answer_back_nothing_is_posted_twice(
    database: Database, slack_server: FakeSlack
) -> None:
    commit(database, ("a", 0))
    slack_server.script("chat.postMessage", hang(30, applied=True))
    killed_when(lambda server: server.of("chat.postMessage"), slack_server, database, settings(slack_server))
    assert StoreDeliveries(database).summary()["desk"] == {"trying": 1}
    finished(database, settings(slack_server))
    assert len(slack_server.workspace.messages("desk")) == 1
    assert len(slack_server.of("chat.postMessage")) == 1
    assert slack_server.of("conversations.history")
    assert StoreDeliveries(database).summary()["desk"] == {"done": 1}


def test_killed_before_slack_took_it_it_is_posted_after_all(
    database: Database, slack_server: FakeSlack
) -> None:
    commit(database, ("a", 0))
    slack_server.script("chat.postMessage", hang(30))
    killed_when(lambda server: server.of("chat.postMessage"), slack_server, database, settings(slack_server))
    finished(database, settings(slack_server))
    assert len(slack_server.workspace.messages("desk")) == 1
    assert len(slack_server.of("chat.postMessage")) == 2


def test_killed_between_edit_and_reply_only_the_reply_is_made(
    database: Database, slack_server: FakeSlack
) -> None:
    commit(database, ("a", 0))
    finished(database, settings(slack_server))
    commit(database, ("a", 1), transition="resolved")
    slack_server.script("chat.postMessage", hang(30, applied=True))
    killed_when(
        lambda server: len(server.of("chat.postMessage")) >= 2, slack_server, database, settings(slack_server)
    )
    finished(database, settings(slack_server))
    first, reply = slack_server.workspace.messages("desk")
    assert first.edits == 1
    assert reply.thread_ts == first.ts
    assert slack_server.of("conversations.replies")


def test_killed_while_a_webhook_waits_it_is_posted_again_under_the_same_key_with_the_same_body(
    database: Database, slack_server: FakeSlack
) -> None:
    commit(database, ("a", 0))
    slack_server.script("webhook/ops", hang(30, applied=True))
    killed_when(lambda server: server.of("webhook/ops"), slack_server, database, settings(slack_server))
    finished(database, settings(slack_server))
    first, second = slack_server.of("webhook/ops")
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "a-0"
    assert first.body == second.body


def test_killed_again_and_again_everything_arrives_and_slack_shows_it_once(
    database: Database, slack_server: FakeSlack
) -> None:
    chance = random.Random(7)
    commit(database, *MANY)
    slack_server.fault = lambda method, arguments: chance.choice([slow(0.02), slow(0.01), fine()])
    kills = 4
    for n in range(kills):
        wanted = 5 + n * 18
        killed_when(
            lambda server, wanted=wanted: len(server.received) >= wanted,
            slack_server,
            database,
            settings(slack_server),
        )
    finished(database, settings(slack_server))
    posted = slack_server.workspace.messages("desk")
    assert sorted(message.metadata["event_payload"]["id"] for message in posted) == sorted(
        {alert_id for alert_id, _ in MANY}
    )
    assert all(message.edits >= 1 for message in posted)
    keys = Counter(received.headers["webhook-id"] for received in slack_server.of("webhook/ops"))
    assert set(keys) == {f"{alert_id}-{number}" for alert_id, number in MANY}
    assert sum(keys.values()) - len(keys) <= 4 * kills
    bodies = {(received.headers["webhook-id"], received.body) for received in slack_server.of("webhook/ops")}
    assert len(bodies) == len(keys)


@pytest.mark.parametrize(("episodes", "kills"), [(100, 3), pytest.param(3_400, 12, marks=pytest.mark.long)])
def test_killed_among_many_that_wait_nothing_is_lost_and_each_episode_keeps_its_order(
    database: Database, slack_server: FakeSlack, episodes: int, kills: int
) -> None:
    parts = (("warning", "fired"), ("critical", "updated"), ("critical", "resolved"))
    ids = [f"e{n}" for n in range(episodes)]
    for number, (severity, transition) in enumerate(parts):
        commit(database, *((each, number) for each in ids), severity=severity, transition=transition)
    slack_server.always("webhook/ops", slow(0.005))
    wanted = {**settings(slack_server), "route": {"to": ["ops"]}}
    for n in range(1, kills + 1):
        reached = n * episodes * len(parts) // (kills + 1)
        killed_when(
            lambda server, reached=reached: len(server.received) >= reached, slack_server, database, wanted
        )
    finished(database, wanted)
    received = [(each.headers["webhook-id"], each.body) for each in slack_server.of("webhook/ops")]
    keys = [key for key, _ in received]
    assert set(keys) == {f"{each}-{number}" for each in ids for number in range(len(parts))}
    assert len(keys) - len(set(keys)) <= 2 * 4 * kills, "only what was claimed comes again"
    assert len(set(received)) == len(set(keys)), "under its key, with the same body"
    for each in ids:
        of_episode = [key for key in keys if key.startswith(f"{each}-")]
        assert of_episode == sorted(of_episode)


def test_a_request_cut_short_counts_for_nothing(slack_server: FakeSlack) -> None:
    host, _, port = slack_server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /webhook/ops HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{half")
    slack_server.wait_for(lambda server: server.truncated == 1)
    assert not slack_server.received
