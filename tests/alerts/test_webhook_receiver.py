"""Signed webhooks, checked with the package that receivers use."""

from __future__ import annotations

import base64
import json
import socket
import time
from email.utils import formatdate
from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.slack import Answer, FakeSlack, server_error
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from alerts.receivers.receiver import Receiver, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.receivers.retry_after import retry_after_s
from alerts.secrets import SecretError
from streamer.notify.clock import SystemClock

KEY = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def hook(url: str, key: str = KEY, *, token: str = "Bearer t0ken", **more: Any) -> Receiver:
    settings = {"webhook": {"url": url, "secret": {"env": "KEY"}, "timeout": "1s", **more}}
    checked = ReceiverSettings.model_validate(settings)
    environ = {"KEY": key, "API_TOKEN": token}
    return build_receiver("ops", checked, lambda secret: secret.resolve(environ), SystemClock())


def nothing(step: str, result: str) -> None:
    raise AssertionError((step, result))


def test_the_signature_verifies_and_covers_id_time_and_body(slack_server: FakeSlack) -> None:
    item = delivery("a1", 4, receiver="ops", text="Zürich")
    hook(slack_server.webhook_url()).deliver(item, nothing)
    (got,) = slack_server.of("webhook/ops")
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert got.body == item.body
    assert Webhook(KEY).verify(got.body, headers) == json.loads(item.body)
    assert headers["webhook-id"] == "a1-4"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 5
    for change in ({"webhook-id": "a1-5"}, {"webhook-timestamp": str(int(time.time()) + 7)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(KEY).verify(got.body, headers | change)
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(got.body + b" ", headers)


def test_every_attempt_has_the_same_id_and_body(slack_server: FakeSlack) -> None:
    receiver = hook(slack_server.webhook_url())
    slack_server.script("webhook/ops", server_error(503))
    with pytest.raises(RetryableError):
        receiver.deliver(delivery(), nothing)
    receiver.deliver(delivery(in_doubt=True, attempts=1), nothing)
    first, second = slack_server.of("webhook/ops")
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


@pytest.mark.parametrize("status", [429, 503])
def test_a_date_in_retry_after_is_understood(slack_server: FakeSlack, status: int) -> None:
    when = formatdate(time.time() + 30, usegmt=True)
    slack_server.script("webhook/ops", Answer(status=status, headers={"Retry-After": when}, body="later"))
    with pytest.raises(RetryableError) as raised:
        hook(slack_server.webhook_url()).deliver(delivery(), nothing)
    assert raised.value.retry_after_s == pytest.approx(30, abs=3)


def test_proxies_of_the_environment_are_not_used(
    slack_server: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    hook(slack_server.webhook_url()).deliver(delivery(), nothing)
    assert len(slack_server.of("webhook/ops")) == 1


def test_a_connection_is_used_again_even_after_a_long_answer(slack_server: FakeSlack) -> None:
    receiver = hook(slack_server.webhook_url())
    slack_server.script("webhook/ops", Answer(body="x" * 1_000_000), Answer(body="y" * 1_000))
    for n in range(4):
        receiver.deliver(delivery(f"a{n}"), nothing)
    assert len(slack_server.of("webhook/ops")) == 4


def test_a_host_that_does_not_answer_the_call_times_out() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        started = time.monotonic()
        with pytest.raises(RetryableError, match="timeout"):
            hook(f"http://127.0.0.1:{deaf.getsockname()[1]}/").deliver(delivery(), nothing)
        assert time.monotonic() - started < 30


def test_a_host_that_does_not_exist_is_retried_without_doubt() -> None:
    with pytest.raises(RetryableError) as raised:
        hook("http://tapewatch.invalid/hook").deliver(delivery(), nothing)
    assert not raised.value.in_doubt


@pytest.mark.parametrize("key", ["whsec_", "whsec_not base64!", "ключ", "abcde", "a===b"])
def test_a_bad_secret_is_told_when_it_is_loaded_without_being_shown(key: str) -> None:
    with pytest.raises(SecretError, match="the secret of webhook ops is") as raised:
        hook("http://127.0.0.1:9/", key)
    if len(key) > len("whsec_"):
        assert key.removeprefix("whsec_") not in str(raised.value)


@pytest.mark.parametrize("key", [KEY, KEY.removeprefix("whsec_"), KEY.rstrip("=")])
def test_keys_come_with_or_without_prefix_and_padding(slack_server: FakeSlack, key: str) -> None:
    hook(slack_server.webhook_url(), key).deliver(delivery(), nothing)
    (got,) = slack_server.of("webhook/ops")
    assert Webhook(KEY).verify(got.body, dict(got.headers))


def test_headers_of_ones_own_are_sent_and_secrets_among_them_are_looked_up(slack_server: FakeSlack) -> None:
    headers = {"X-Team": "fx; desk 7", "Authorization": {"env": "API_TOKEN"}, "User-Agent": "desk"}
    receiver = hook(slack_server.webhook_url(), headers=headers)
    receiver.deliver(delivery(), nothing)
    (got,) = slack_server.of("webhook/ops")
    sent = {name.lower(): value for name, value in got.headers.items()}
    assert (sent["x-team"], sent["authorization"], sent["user-agent"]) == (
        "fx; desk 7",
        "Bearer t0ken",
        "desk",
    )
    assert Webhook(KEY).verify(got.body, sent)
    assert "t0ken" not in repr(receiver)


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"Content-Type": "text/plain"}, "'Content-Type' is set by tapewatch itself: leave it out"),
        ({"Webhook-Id": "1"}, "'Webhook-Id' is set by tapewatch itself"),
        ({"tapewatch-behind": "1"}, "is set by tapewatch itself"),
        ({"Host": "other.example"}, "is set by tapewatch itself"),
        ({"X Team": "fx"}, "'X Team' is not the name of a header"),
        ({"X-Team": "fx\r\nX-Other: 1"}, "printable ASCII text"),
        ({"X-Team": ""}, "not empty"),
        ({"X-Team": "ключ"}, "printable ASCII text"),
        ({"X-Team": 7}, "valid string"),
        ({"X-Team": "a", "x-team": "b"}, "there twice"),
        ({"Authorization": "Bearer t0ken"}, "the value of 'Authorization' is a secret: give {env: NAME}"),
        ({"X-Api-Key": "abc"}, "the value of 'X-Api-Key' is a secret"),
        ({"X-Team": {"env": "A", "file": "b"}}, "a secret has one source"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        hook("http://127.0.0.1:9/", headers=headers)


def test_a_secret_that_cannot_be_a_header_is_told_without_being_shown() -> None:
    with pytest.raises(SecretError, match="header Authorization of webhook ops is not one line") as raised:
        hook("http://127.0.0.1:9/", token="t0\nken", headers={"Authorization": {"env": "API_TOKEN"}})
    assert "t0" not in str(raised.value)


def test_how_far_an_alert_is_behind_and_the_note_are_headers(slack_server: FakeSlack) -> None:
    receiver = hook(slack_server.webhook_url())
    for late in (delivery(), delivery(behind_s=184_320.4, note="2 alerts … to desk\n(http_400)")):
        receiver.deliver(late, nothing)
    plain, told = (got.headers for got in slack_server.of("webhook/ops"))
    assert "tapewatch-behind" not in plain
    assert "tapewatch-note" not in plain
    assert told["tapewatch-behind"] == "184320"
    assert told["tapewatch-note"] == "2 alerts ? to desk (http_400)"


@given(st.text(max_size=40) | st.integers().map(str) | st.floats().map(str))
def test_no_retry_after_is_too_odd(header: str) -> None:
    found = retry_after_s(header, now=1e9)
    assert found is None or 0 <= found <= 86_400
