"""A loopback HTTP server in Slack's place, and in the place of anything that takes webhooks.

It keeps messages as Slack does (channels by id, threads, edits, metadata), records every request, and
answers as it is told: 429, 500, `ok: false`, hanging, a cut connection. In a test:

    with FakeSlack() as slack:
        slack.script("chat.postMessage", rate_limited(2), server_error())
        ... slack.api_url, slack.hook_url, slack.webhook_url("ops") ...

As a process: `python -m fakes.slack [--port N]` prints its address; `POST /_control/script` with
`{"method": ..., "answers": [{"status": 429, ...}], "always": false}` scripts it, `GET /_control/received`
and `GET /_control/messages` show what came.
"""

from __future__ import annotations

import argparse
import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from fakes.workspace import SlackRefusalError, Workspace

INCOMING = "incoming"
"""The method name under which posts to the incoming webhook are scripted and recorded."""


@dataclass(frozen=True)
class Answer:
    """How to answer one request.

    `applied` says whether the request takes effect first; `hang_s` waits before answering; `cut` closes
    the connection with no answer (after `hang_s`); `error` answers `ok: false`; else `status` if not 200.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    body: str | bytes | None = None
    hang_s: float = 0.0
    cut: bool = False
    applied: bool = False


def rate_limited(retry_after: float | str, *, applied: bool = False) -> Answer:
    headers = {"Retry-After": str(retry_after)}
    return Answer(status=429, headers=headers, error="ratelimited", applied=applied)


def server_error(status: int = 500, *, applied: bool = False) -> Answer:
    return Answer(status=status, body="<html>oops</html>", applied=applied)


def refuse(error: str) -> Answer:
    return Answer(error=error)


def hang(seconds: float, *, applied: bool = False) -> Answer:
    return Answer(hang_s=seconds, cut=True, applied=applied)


def cut(*, applied: bool = False) -> Answer:
    return Answer(cut=True, applied=applied)


def slow(seconds: float) -> Answer:
    return Answer(hang_s=seconds, applied=True)


def fine() -> Answer:
    return Answer(applied=True)


@dataclass(frozen=True)
class Received:
    """One whole request: what it asked, when (wall and monotonic), and how it was answered."""

    at: float
    method: str
    headers: Mapping[str, str]
    body: bytes
    arguments: Mapping[str, Any]
    answer: str
    monotonic: float = 0.0


class FakeSlack:
    """The server, in this process; `channels` are names that exist and have the bot in them."""

    def __init__(
        self,
        *,
        token: str = "xoxb-test",
        channels: tuple[str, ...] = ("desk",),
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.token = token
        self.workspace = Workspace(channels)
        self.received: list[Received] = []
        self.truncated = 0
        self.in_flight = 0
        self._scripts: dict[str, deque[Answer]] = {}
        self._always: dict[str, Answer] = {}
        self.fault: Callable[[str, Mapping[str, Any]], Answer | None] = lambda method, arguments: None
        """Looked at first: an answer that depends on what is asked, None for the usual."""
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._server = _Server((host, port), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> FakeSlack:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    @property
    def hook_url(self) -> str:
        return f"{self.url}/services/T0/B0/secret"

    def webhook_url(self, name: str = "ops") -> str:
        """Where to post generic webhooks; scripted and recorded as ``webhook/NAME``."""
        return f"{self.url}/webhook/{name}"

    def script(self, method: str, *answers: Answer) -> None:
        """Answer the next requests of a method so, one each, then as usual again."""
        with self._changed:
            self._scripts.setdefault(method, deque()).extend(answers)

    def always(self, method: str, answer: Answer | None) -> None:
        """Answer all requests of a method so, until told otherwise (None)."""
        with self._changed:
            if answer is None:
                self._always.pop(method, None)
            else:
                self._always[method] = answer

    def of(self, method: str) -> list[Received]:
        """What came for one method, in order."""
        with self._changed:
            return [received for received in self.received if received.method == method]

    def wait_for(self, happened: Callable[[FakeSlack], object], timeout_s: float = 90.0) -> None:
        """Wait until something holds; it is looked at after every request that comes in."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not happened(self):
                left = deadline - time.monotonic()
                if left <= 0:
                    shown = [(received.method, received.answer) for received in self.received]
                    raise TimeoutError(f"did not happen in {timeout_s} s; received {shown}")
                self._changed.wait(min(left, 0.1))

    def next_answer(self, method: str) -> Answer:
        with self._changed:
            script = self._scripts.get(method)
            return script.popleft() if script else self._always.get(method, fine())

    def note(self, received: Received) -> None:
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()

    def note_truncated(self) -> None:
        with self._changed:
            self.truncated += 1
            self._changed.notify_all()

    def begin(self) -> None:
        with self._changed:
            self.in_flight += 1

    def end(self) -> None:
        with self._changed:
            self.in_flight -= 1

    def pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # requests may be hanging on purpose
    request_queue_size = 64
    fake: FakeSlack

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        fake = self.server.fake
        if self.path == "/_control/received":
            self._json([_shown(received) for received in list(fake.received)])
        elif self.path == "/_control/messages":
            self._json([asdict(message) for message in fake.workspace.messages()])
        else:
            self._send(404, b"")

    def do_POST(self) -> None:
        self.server.fake.begin()
        try:
            self._post()
        finally:
            self.server.fake.end()

    def _post(self) -> None:
        body = self._body()
        if body is None:
            return
        fake = self.server.fake
        if self.path == "/_control/script":
            order = json.loads(body)
            answers = [Answer(**answer) for answer in order["answers"]]
            if order.get("always"):
                fake.always(order["method"], answers[0] if answers else None)
            else:
                fake.script(order["method"], *answers)
            self._json({"ok": True})
            return
        method = self._method()
        if method is None:
            self._send(404, b"")
            return
        arguments = self._arguments(body)
        answer = fake.fault(method, arguments) or fake.next_answer(method)
        result = self._apply(method, arguments) if answer.applied else None
        outcome = "cut" if answer.cut else answer.error or str(answer.status)
        fake.note(
            Received(time.time(), method, dict(self.headers), body, arguments, outcome, time.monotonic())
        )
        if answer.hang_s:
            fake.pause(answer.hang_s)
        self._answer(method, answer, result)

    def _body(self) -> bytes | None:
        """The whole body; None for a request that ended before it was all there."""
        length = self.headers.get("Content-Length")
        if length is None:
            self._send(411, b"")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.server.fake.note_truncated()
            self.close_connection = True
            return None
        return body

    def _method(self) -> str | None:
        place, _, rest = self.path.lstrip("/").partition("/")
        if place == "api":
            return rest
        if place == "services":
            return INCOMING
        return f"webhook/{rest}" if place == "webhook" else None

    def _arguments(self, body: bytes) -> dict[str, Any]:
        if "json" in self.headers.get("Content-Type", ""):
            try:
                found = json.loads(body)
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
        return dict(parse_qsl(body.decode("utf-8", "replace")))

    def _apply(self, method: str, arguments: dict[str, Any]) -> dict[str, Any] | str:
        fake = self.server.fake
        if method.startswith("webhook/"):
            return ""
        try:
            if method == INCOMING:
                fake.workspace.incoming(arguments)
                return "ok"
            if self.headers.get("Authorization") != f"Bearer {fake.token}":
                return {"ok": False, "error": "invalid_auth"}
            return {"ok": True, **fake.workspace.call(method, arguments)}
        except SlackRefusalError as refusal:
            return str(refusal) if method == INCOMING else {"ok": False, "error": str(refusal)}

    def _answer(self, method: str, answer: Answer, result: dict[str, Any] | str | None) -> None:
        if answer.cut:
            self.close_connection = True
            return
        if answer.body is not None:
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self._send(answer.status, body, answer.headers)
        elif answer.error is not None and (method == INCOMING or method.startswith("webhook/")):
            self._send(answer.status, answer.error.encode(), answer.headers)
        elif answer.error is not None:
            refusal = json.dumps({"ok": False, "error": answer.error}).encode()
            self._send(answer.status, refusal, answer.headers, "application/json")
        elif isinstance(result, dict):
            self._send(answer.status, json.dumps(result).encode(), answer.headers, "application/json")
        else:
            status = 200 if result in ("ok", "", None) else 404
            self._send(status if answer.status == 200 else answer.status, (result or "").encode())

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {}, "application/json")

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, kind: str = "text/plain"
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _shown(received: Received) -> dict[str, Any]:
    return {**asdict(replace(received, body=b"")), "body": base64.b64encode(received.body).decode()}


def main() -> None:
    parser = argparse.ArgumentParser(description="A loopback server in Slack's place.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--token", default="xoxb-test")
    parser.add_argument("--channel", action="append", default=None)
    given = parser.parse_args()
    with FakeSlack(
        token=given.token, channels=tuple(given.channel or ["desk"]), port=given.port, host=given.host
    ) as fake:
        print(fake.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
