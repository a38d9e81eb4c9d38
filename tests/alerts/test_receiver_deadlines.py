"""One attempt ends in time, whatever the other end does, and says whether it may have arrived."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.alert_bodies import delivery
from fakes.raw_server import Talk, dripping, raw_server, request, sipping
from fakes.waiting import until

from alerts.receivers import http_deadline
from alerts.receivers.http_deadline import BoundedSocket
from alerts.receivers.receiver import Delivery, PermanentError, Receiver, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from streamer.notify.clock import SystemClock

ENVIRON = {"KEY": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "TOKEN": "xoxb-test"}
TIMEOUT_S = 3.0  # thirty at a time have to get as far as the drip within it
SLACK_S = 3.0  # what a busy machine may need on top
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def settings_of(url: str) -> dict[str, dict[str, Any]]:
    """The three ways in which something is posted."""
    bot = {"channel": "C0123456789", "token": {"env": "TOKEN"}, "api_url": f"{url}/api/"}
    return {
        "webhook": {"webhook": {"url": f"{url}/hook", "secret": {"env": "KEY"}}},
        "bot": {"slack": bot},
        "incoming": {"slack": {"incoming_webhook": {"env": "HOOK"}}},
    }


def built(name: str, url: str, **more: Any) -> Receiver:
    ((kind, settings),) = settings_of(url)[name].items()
    checked = ReceiverSettings.model_validate({kind: {**settings, "timeout": f"{TIMEOUT_S:g}s", **more}})
    environ = {**ENVIRON, "HOOK": f"{url}/services/T0/B0/secret"}
    return build_receiver("desk", checked, lambda secret: secret.resolve(environ), SystemClock())


def attempt(receiver: Receiver, item: Delivery | None = None) -> tuple[float, Exception | None]:
    """How long one attempt took, and how it ended."""
    began = time.monotonic()
    try:
        receiver.deliver(item or delivery(), lambda step, result: None)
    except (RetryableError, PermanentError) as error:
        return time.monotonic() - began, error
    return time.monotonic() - began, None


DRIPS: dict[str, Talk] = {
    "nothing": dripping(b""),
    "status": dripping(b"", b"HTTP/1.1 200 OK"),
    "interim": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": dripping(OK, b"X-More: x\r\n"),
    "error body": dripping(b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n", b"oops "),
}
BODIES: dict[str, Talk] = {
    "body": dripping(OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunked": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "chunk size": dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "gzip": dripping(OK + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n", b"\x1f\x8b\x08"),
    "no length": dripping(OK + b"\r\n", b"x"),
}


def test_whatever_drips_ends_in_time_and_in_doubt() -> None:
    def ended(case: tuple[str, str]) -> tuple[float, Exception | None]:
        kind, drip = case
        with raw_server({**DRIPS, **BODIES}[drip]) as server:
            return attempt(built(kind, f"http://127.0.0.1:{server.port}"))

    cases = [(kind, drip) for kind in ("webhook", "bot", "incoming") for drip in (*DRIPS, *BODIES)]
    with ThreadPoolExecutor(len(cases)) as threads:
        for (kind, drip), (took_s, error) in zip(cases, threads.map(ended, cases), strict=True):
            assert took_s < TIMEOUT_S + SLACK_S, (kind, drip, took_s)
            if drip in BODIES and kind == "webhook":
                assert error is None, (kind, drip, error)  # its status said all there was to say
                continue
            assert isinstance(error, RetryableError | PermanentError), (kind, drip)
            assert error.in_doubt, (kind, drip, error)
            # a 200 has come: what has probably arrived is not posted again where it cannot be looked up
            assert isinstance(error, PermanentError) == (drip in BODIES and kind == "incoming"), (kind, drip)
            if drip in DRIPS and drip != "error body":
                assert str(error).startswith(f"timeout: no answer within {TIMEOUT_S:g} s"), (
                    kind,
                    drip,
                    error,
                )


@pytest.mark.parametrize("body", [b"", b"thanks"])
def test_a_status_that_comes_in_the_last_moment_counts(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    now, receive = 0.0, BoundedSocket.recv_into

    def last_moment(sock: BoundedSocket, *arguments: Any) -> int:
        nonlocal now
        got = receive(sock, *arguments)
        now += TIMEOUT_S
        return got

    def answer(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    monkeypatch.setattr(http_deadline, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(BoundedSocket, "recv_into", last_moment)
    with raw_server(answer) as server:
        built("webhook", f"http://127.0.0.1:{server.port}").deliver(delivery(), lambda step, result: None)
    assert now >= TIMEOUT_S


def test_who_reads_a_large_request_slowly_ends_in_time_and_in_doubt() -> None:
    with raw_server(sipping) as server:
        took_s, error = attempt(
            built("webhook", f"http://127.0.0.1:{server.port}"), delivery(text="x" * 20_000_000)
        )
    assert took_s < TIMEOUT_S + SLACK_S + 1.0  # the body has to be made and signed
    assert isinstance(error, RetryableError)
    assert error.in_doubt


@pytest.mark.parametrize("kind", ["webhook", "bot", "incoming"])
def test_a_handshake_that_drips_and_a_proxy_that_drips_are_not_in_doubt(kind: str) -> None:
    record = b"\x16\x03\x03\x40\x00" + b"\x02" * 100  # the beginning of a long TLS record
    with raw_server(dripping(b"", record, ask=False)) as server:
        tls = attempt(built(kind, f"https://127.0.0.1:{server.port}"))
    with raw_server(dripping(b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n")) as server:
        through = {"proxy": f"http://127.0.0.1:{server.port}"}
        proxied = attempt(built(kind, "https://ops.invalid", **through))
    for took_s, error in (tls, proxied):
        assert took_s < TIMEOUT_S + SLACK_S
        assert isinstance(error, RetryableError)
        assert str(error) == f"timeout: not connected within {TIMEOUT_S:g} s"
        assert not error.in_doubt
        assert error.everything


def test_a_name_server_that_is_silent_ends_in_time_and_piles_up_no_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, look_up = threading.Event(), socket.getaddrinfo

    def silent(host: str, *arguments: Any, **options: Any) -> Any:
        if host == "slow.invalid" and not options.get("flags"):
            answers.wait(30)
        return look_up("127.0.0.1" if host == "slow.invalid" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    receiver = built("webhook", "http://slow.invalid:9")
    before = threading.active_count()
    for _ in range(3):
        took_s, error = attempt(receiver)
        assert took_s < TIMEOUT_S + SLACK_S
        assert isinstance(error, RetryableError)
        assert not error.in_doubt
    assert threading.active_count() <= before + 1
    answers.set()
    until(lambda: threading.active_count() <= before)
