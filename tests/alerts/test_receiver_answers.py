"""What receivers answer: redirects, answers that are neither yes nor no, and how they are kept and shown."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes.alert_bodies import commit, delivery
from fakes.delivering import KEY, notifier
from fakes.raw_server import raw_server, request
from fakes.slack import INCOMING, Answer, FakeSlack, refuse, server_error
from fakes.waiting import until
from forked import tapewatch
from sqlalchemy import select
from structlog.testing import capture_logs

from alerts.receivers.receiver import PermanentError, Receiver, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from streamer.notify.clock import SystemClock
from streamer.notify.notifier import Notifier
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.tables import deliveries

TOKEN = "xoxb-1234567890-abcdef"


def settings_of(server: FakeSlack) -> dict[str, dict[str, Any]]:
    bot = {"channel": "#desk", "token": {"env": "TOKEN"}, "api_url": server.api_url, "timeout": "2s"}
    hook = {"url": server.webhook_url(), "secret": {"env": "KEY"}, "timeout": "2s"}
    return {
        "webhook": {"webhook": hook},
        "bot": {"slack": bot},
        "incoming": {"slack": {"incoming_webhook": {"env": "HOOK"}, "timeout": "2s"}},
    }


METHODS = {"webhook": "webhook/ops", "bot": "chat.postMessage", "incoming": INCOMING}


def made(server: FakeSlack, name: str, **more: Any) -> Receiver:
    ((kind, settings),) = settings_of(server)[name].items()
    checked = ReceiverSettings.model_validate({kind: {**settings, **more}})
    environ = {"KEY": KEY, "TOKEN": server.token, "HOOK": server.hook_url, "API_KEY": "abcdefgh12345678"}
    return build_receiver("desk", checked, lambda secret: secret.resolve(environ), SystemClock())


def send(receiver: Receiver, **more: Any) -> None:
    receiver.deliver(delivery(**more), lambda step, result: None)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_and_the_reason_says_where_it_points(
    slack_server: FakeSlack, kind: str, status: int
) -> None:
    with FakeSlack() as other:
        there = f"{other.url.replace('127.0.0.1', 'localhost')}/services/T0/B0/x?token=1"
        slack_server.script(METHODS[kind], Answer(status=status, headers={"Location": there}, body="moved"))
        with pytest.raises(PermanentError) as raised:
            send(made(slack_server, kind))
        assert other.received == []
    option = {"webhook": "url", "bot": "api_url", "incoming": "incoming_webhook"}[kind]
    assert str(raised.value).startswith(f"http_{status}: it redirects to http://localhost, ")
    assert str(raised.value).endswith(f"change {option}")
    assert not raised.value.in_doubt
    assert raised.value.answer == "moved"


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_passes_is_retried_after_the_wait_that_the_answer_asks_for(
    slack_server: FakeSlack, kind: str, status: int
) -> None:
    slack_server.script(METHODS[kind], Answer(status=status, headers={"Retry-After": "77"}, body="busy"))
    with pytest.raises(RetryableError) as raised:
        send(made(slack_server, kind))
    assert (raised.value.retry_after_s, raised.value.answer) == (77.0, "busy")
    if status in (425, 429):
        assert not raised.value.in_doubt


INFORMATIONAL = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


def test_informational_answers_are_skipped_and_another_protocol_leaves_it_in_doubt() -> None:
    def talk(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(INFORMATIONAL + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        request(connection)  # the connection is used again
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n")

    with raw_server(talk) as server:
        settings = {"incoming_webhook": {"env": "HOOK"}, "timeout": "2s"}
        receiver = build_receiver(
            "desk",
            ReceiverSettings.model_validate({"slack": settings}),
            lambda secret: secret.resolve({"HOOK": f"http://127.0.0.1:{server.port}/services/T0/B0/x"}),
            SystemClock(),
        )
        send(receiver)
        with pytest.raises(RetryableError, match=r"^http_101$") as raised:
            send(receiver)
    assert raised.value.in_doubt


def test_slack_goes_through_the_proxy_of_the_environment_with_its_login(
    slack_server: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", slack_server.url.replace("//", "//me:p%40ss@"))
    away = made(slack_server, "bot", api_url="http://slack.invalid/api/")
    with pytest.raises(PermanentError, match="http_404"):  # the stand-in is no proxy: it knows no such path
        send(away)
    monkeypatch.setenv("NO_PROXY", "slack.invalid")
    with pytest.raises(RetryableError, match="the name of its host is not known"):
        send(made(slack_server, "bot", api_url="http://slack.invalid/api/"))


@pytest.mark.parametrize(
    ("body", "accepts"),
    [
        ("ok", ()),
        ("ok\n", ()),
        ('{"ok":true}', ()),
        ('{"success":true}', ('{"success": true}',)),
        ('{"result":"success","msg":""}', ("1", '{"result": "success"}')),
        ("1", ("1",)),
    ],
)
def test_servers_that_speak_slack_may_say_yes_in_their_own_words(
    slack_server: FakeSlack, body: str, accepts: tuple[str, ...]
) -> None:
    slack_server.script(INCOMING, Answer(body=body, applied=True))
    send(made(slack_server, "incoming", accepts=list(accepts)))


NEITHER = {
    "success": Answer(body='{"success":true}', applied=True),
    "another object": Answer(body='{"status":"queued"}', applied=True),
    "html": Answer(body="<html><body>Welcome</body></html>", applied=True),
    "nothing": Answer(body="", applied=True),
    "a word": Answer(body="accepted", applied=True),
    "no": Answer(body='{"ok":false}', applied=True),
    "202": Answer(status=202, body="later", applied=True),
    "204": Answer(status=204, body="", applied=True),
}


@pytest.mark.parametrize("answer", NEITHER.values(), ids=NEITHER)
def test_a_2xx_that_does_not_say_yes_is_parked_after_the_first(
    database: Database, slack_server: FakeSlack, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setenv("HOOK", slack_server.hook_url)
    slack_server.always(INCOMING, answer)
    commit(database, ("e0", 0))
    with running(database, {"desk": settings_of(slack_server)["incoming"]}):
        until(lambda: StoreDeliveries(database).summary().get("desk") == {"parked": 1})
        time.sleep(0.3)
    assert len(slack_server.workspace.hooked()) == 1
    with database.read() as connection:
        (row,) = connection.execute(select(deliveries).where(deliveries.c.alert_id == "e0"))
    assert row.error.startswith(f"unexpected_answer: it answered {answer.status} without `ok`; ")
    assert "use `webhook`" in row.error
    assert row.in_doubt == 1
    assert (row.answer or "") == (answer.body or "")


def test_what_an_incoming_webhook_names_as_an_error_is_that_error(slack_server: FakeSlack) -> None:
    for body, expected in (
        ('{"ok":false,"error":"channel_is_archived"}', PermanentError),
        ("invalid_payload", PermanentError),
        ('{"ok":false,"error":"rate_limited"}', RetryableError),
    ):
        slack_server.script(INCOMING, Answer(body=body))
        with pytest.raises(expected, match=r"^(channel_is_archived|invalid_payload|ratelimited)$") as raised:
            send(made(slack_server, "incoming"))
        assert raised.value.answer == body


def test_the_web_api_answers_something_else_and_the_message_is_there_once(
    database: Database, slack_server: FakeSlack
) -> None:
    slack_server.always("chat.postMessage", Answer(body="<html>fine</html>", applied=True))
    commit(database, ("e0", 0))
    desk = {"desk": settings_of(slack_server)["bot"]}
    with running(database, desk):
        until(lambda: StoreDeliveries(database).summary().get("desk") == {"done": 1})  # it was looked up
    assert len(slack_server.workspace.messages()) == 1
    slack_server.always("conversations.history", refuse("missing_scope"))
    commit(database, ("e1", 0))
    with running(database, desk):
        until(lambda: StoreDeliveries(database).summary().get("desk") == {"done": 1, "parked": 1})
    assert len(slack_server.workspace.messages()) == 2
    with database.read() as connection:
        error = connection.scalar(select(deliveries.c.error).where(deliveries.c.alert_id == "e1"))
    assert "cannot be looked up (missing_scope)" in error


@pytest.mark.parametrize("kind", METHODS)
def test_the_beginning_of_an_answer_is_kept_without_secrets_and_controls(
    slack_server: FakeSlack, kind: str
) -> None:
    slack_server.token = TOKEN
    headers = {"headers": {"X-Api-Key": {"env": "API_KEY"}}} if kind == "webhook" else {}
    receiver = made(slack_server, kind, **headers)
    sent = (TOKEN, KEY, KEY.removeprefix("whsec_"), slack_server.hook_url, "abcdefgh12345678")
    own = {"webhook": sent[1:3] + sent[4:], "bot": sent[:1], "incoming": sent[3:4]}[kind]
    said = "no \x1b[31m\u202eone\n here: " + " ".join(own) + " " + " ".join(map(json.dumps, own)) + "x" * 900
    slack_server.script(METHODS[kind], Answer(status=400, body=said))
    with pytest.raises(PermanentError) as raised:
        send(receiver)
    shown = raised.value.answer
    assert shown.startswith("no \\x1b[31m\\u202eone here: [secret]")
    assert len(shown) == 500
    assert not any(secret in shown for secret in own)
    assert shown.isprintable()
    squeezed = gzip.compress(b"because " + own[0].encode())
    packed = Answer(status=400, body=squeezed, headers={"Content-Encoding": "gzip"})
    slack_server.script(METHODS[kind], packed)
    with pytest.raises(PermanentError) as raised:
        send(receiver)
    assert raised.value.answer == "because [secret]"


def test_an_answer_is_in_the_store_the_log_and_the_commands(
    database: Database, slack_server: FakeSlack, tmp_path: Path
) -> None:
    slack_server.always("webhook/ops", Answer(status=400, body="no such\x1b[2J tenant"))
    slack_server.always("webhook/two", server_error(503))
    commit(database, ("e0", 0))
    hooks = {"ops": settings_of(slack_server)["webhook"]}
    hooks["two"] = {"webhook": {**hooks["ops"]["webhook"], "url": slack_server.webhook_url("two")}}
    with capture_logs() as logged, running(database, hooks):
        until(lambda: StoreDeliveries(database).summary().get("ops") == {"parked": 1})
        until(lambda: any(line["event"] == "delivery deferred" for line in logged))
    (parked,) = [line for line in logged if line["event"] == "delivery parked"]
    assert (parked["reason"], parked["answer"]) == ("http_400", "no such\\x1b[2J tenant")
    assert parked["retry"] == "tapewatch alerts --retry-parked ops"
    deferred = next(line for line in logged if line["event"] == "delivery deferred")
    assert deferred["answer"] == "<html>oops</html>"
    store = ("--store", tmp_path / "tapewatch.db")
    listed = tapewatch("alerts", *store).stderr
    assert "ops: 1 parked: http_400\n  it answered: no such\\x1b[2J tenant" in listed
    explained = tapewatch("why", "e0", *store).stdout
    assert "ops: parked after 1 attempt (http_400)\n  answer     no such\\x1b[2J tenant" in explained


@contextmanager
def running(database: Database, receivers: dict[str, Any]) -> Iterator[Notifier]:
    at_work = notifier(database, receivers, {"to": list(receivers)})
    at_work.start()
    yield at_work
    at_work.stop(0.0)
