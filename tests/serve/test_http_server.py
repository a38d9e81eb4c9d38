"""The server of metrics and health: what it answers, and what nobody can do to it."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import structlog
from prometheus_client.registry import CollectorRegistry
from typer.testing import CliRunner

from streamer.cli.app import application
from streamer.errors import TapewatchError
from streamer.serve import bounded_server
from streamer.serve.server import Checks, serving

Address = tuple[str, int]


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setattr(bounded_server, "REQUEST_WITHIN_S", 60.0)
    checks = Checks(lambda: None, lambda: None, lambda: "it is stuck")
    with serving(("127.0.0.1", 0), CollectorRegistry(), checks) as address:
        assert address is not None
        yield address


def answer(address: Address, request: bytes) -> bytes:
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(65_536):
            found += part
        return found


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/livez", "/nothing"])
def test_head_is_get_without_the_body_and_nothing_else_is_allowed(address: Address, path: str) -> None:
    got, _, body = answer(address, f"GET {path} HTTP/1.1\r\n\r\n".encode()).partition(b"\r\n\r\n")
    head, _, nothing = answer(address, f"HEAD {path} HTTP/1.1\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert nothing == b""
    assert head.splitlines()[0] == got.splitlines()[0]
    assert f"Content-Length: {len(body)}".encode() in head
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        refused = answer(address, f"{method} {path} HTTP/1.1\r\n\r\n".encode())
        assert refused.startswith(b"HTTP/1.0 405 ")
        assert b"Allow: GET, HEAD" in refused
        assert b"Python" not in refused, "nobody needs to know the version"


def test_a_request_has_a_time_however_slowly_it_comes(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_server, "REQUEST_WITHIN_S", 0.6)
    began = time.monotonic()
    with socket.create_connection(address, timeout=20) as slow:
        slow.settimeout(0.02)
        while time.monotonic() - began < 20:
            try:
                slow.sendall(b"x")
                if slow.recv(99) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert time.monotonic() - began < 15, "it was closed although something came every moment"
    monkeypatch.setattr(bounded_server, "REQUEST_WITHIN_S", 60.0)
    assert b" 200 " in answer(address, b"GET /healthz HTTP/1.0\r\n\r\n")


def test_who_asks_is_answered_among_hundreds_that_only_hold_connections(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_server, "REQUEST_WITHIN_S", 600.0)
    before = threading.active_count()
    idle = [socket.create_connection(address, timeout=20) for _ in range(300)]
    try:
        assert b" 200 " in answer(address, b"GET /healthz HTTP/1.0\r\n\r\n")
        deadline = time.monotonic() + 20
        while threading.active_count() - before > bounded_server.MOST_CONNECTIONS + 1:
            assert time.monotonic() < deadline, "threads are bounded, too"
            time.sleep(0.01)
    finally:
        for each in idle:
            each.close()


def test_threads_are_bounded_where_answers_take_longer_than_connections(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bounded_server, "REQUEST_WITHIN_S", 0.1)
    store_answers, asked = threading.Event(), list[None]()

    def hangs() -> None:
        asked.append(None)
        store_answers.wait(60)

    with serving(("127.0.0.1", 0), CollectorRegistry(), Checks(hangs, lambda: None)) as address:
        assert address is not None
        before, connections = threading.active_count(), []
        try:
            for _ in range(3 * bounded_server.MOST_CONNECTIONS):
                connections.append(socket.create_connection(address, timeout=20))
                connections[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            for connection in connections:  # all are closed in time
                with suppress(ConnectionError):
                    assert connection.recv(99) == b""
            assert len(asked) <= bounded_server.MOST_CONNECTIONS
            assert threading.active_count() - before <= bounded_server.MOST_CONNECTIONS
        finally:
            store_answers.set()
            for each in connections:
                each.close()
        deadline = time.monotonic() + 20
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert b" 200 " in answer(address, b"GET /readyz HTTP/1.0\r\n\r\n")
    assert "all threads are at work on answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "code"),
    [(("192.0.2.7", 9464), 1), (("no-such-host.invalid", 9464), 1), (("127.0.0.1", 70_000), 2)],
)
def test_an_address_that_may_come_yet_is_no_error_of_the_configuration(address: Address, code: int) -> None:
    checks = Checks(lambda: None, lambda: None)
    with pytest.raises(TapewatchError) as raised, serving(address, CollectorRegistry(), checks):
        pass
    assert raised.value.exit_code == code, "the service manager starts it again only where that may help"


LARGE = (
    b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 99_999,
    b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * 9_999,
    b"G" * 99_999,
    b"\0",
)


@pytest.mark.parametrize("request_", LARGE)
def test_large_headers_and_nonsense_are_refused(address: Address, request_: bytes) -> None:
    with suppress(ConnectionError):  # it may be closed while more of it is on its way
        assert b" 200 " not in answer(address, request_ + b"\r\n\r\n")
    assert b" 200 " in answer(address, b"GET /healthz HTTP/1.0\r\n\r\n")


def test_out_of_files_it_waits_without_spinning_and_goes_on(address: Address) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    client, held = socket.socket(), list[int]()
    client.settimeout(20)
    try:
        in_use = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 8, limits[1]))
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        client.connect(address)
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        used = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - used < 0.3
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert b" 200 " in client.recv(4_096)
    client.close()


def test_liveness_is_a_page_of_its_own(address: Address) -> None:
    assert b"503 Service Unavailable" in answer(address, b"GET /livez HTTP/1.0\r\n\r\n")
    assert b'"reason": "it is stuck"' in answer(address, b"GET /livez HTTP/1.0\r\n\r\n")


@pytest.fixture
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()  # commands log to the stream that the runner has in place of stderr


WELL = {"status": "ok", "step_age_s": 0.3, "behind": 0, "undelivered_s": 0.0}


@pytest.mark.usefixtures("_logs_as_before")
def test_the_health_command_takes_nobody_elses_answer_for_well() -> None:
    odd = [
        WELL | {name: value}
        for name in ("step_age_s", "behind", "undelivered_s")
        for value in ("1", float("nan"), float("inf"), 10**400, -1, True, [], {})
    ]
    odd += [
        WELL | {"parked": each}
        for each in (1, {}, [1], [{}], [{"receiver": "a", "reason": "b", "count": "1"}])
    ]
    odd += [WELL | {"failing": each} for each in ("a", [None], [{"receiver": 1, "reason": "b"}])]
    odd += [WELL | {"status": each} for each in ("failing", "up", None)]
    odd += [WELL | {"step_age_s": None}, WELL | {"behind": 0.5}, {"status": "ok"}, {}, [], None, "ok", 1]
    nested = b"[" * 30_000
    pages = [
        (200, page)
        for page in (b"", b"ok", b"\xff", b"{", nested, *(json.dumps(each).encode() for each in odd))
    ]
    pages += [(status, json.dumps(WELL).encode()) for status in (204, 301, 404, 500, 503)]
    pages += [(503, b'{"status": "failing"}'), (503, b'{"status": "failing", "reason": 7}'), (500, b"oops")]
    pages += [(200, json.dumps(WELL).encode())]
    answers = iter(pages)

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, page = next(answers)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        where = f"127.0.0.1:{server.server_port}"
        try:
            for status, page in pages:
                done = CliRunner().invoke(application(["health"]), ["health", "--address", where])
                if (status, page) == pages[-1]:
                    assert (done.exit_code, done.stdout[:11]) == (0, "all is well")
                    continue
                assert (done.exit_code, done.stderr) == (
                    1,
                    f"what answers at {where} is no daemon of tapewatch\n",
                ), (status, page)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.usefixtures("_logs_as_before")
def test_the_health_command_says_what_the_page_says_by_its_exit_code(tmp_path: Path) -> None:
    config = tmp_path / "tape.yaml"
    text = "source: {files: [{match: '*', format: tapewatch}]}\nserve: {address: '0.0.0.0:PORT'}\n"
    causes: list[str] = []
    figures: dict[str, object] = {"step_age_s": 0.31, "behind": 1_204, "undelivered_s": 0.0}
    checks = Checks(lambda: "; ".join(causes) or None, lambda: None, detail=lambda: figures)
    with serving(("127.0.0.1", 0), CollectorRegistry(), checks) as address:
        assert address is not None
        config.write_text(text.replace("PORT", str(address[1])))
        done = CliRunner().invoke(application(["health"]), ["health", "-c", str(config)])
        assert (done.exit_code, done.stdout) == (
            0,
            "all is well: last step 0.3s ago, 1,204 records behind\n",
        )
        figures |= {"parked": [{"receiver": "desk", "count": 1, "reason": "http_400"}], "behind": 0}
        figures |= {"step_age_s": 161.2, "failing": [{"receiver": "ops", "reason": "timeout"}]}
        done = CliRunner().invoke(application(["health"]), ["health", "-c", str(config)])
        assert (done.exit_code, done.stdout) == (
            0,
            "at work, but 1 delivery is parked (desk: http_400) and nothing gets through to ops (timeout): "
            "nothing to do for 2.7m, 0 records behind\n",
        )
        causes += ["no step has finished for 20s", "a\x1b[2J"]
        done = CliRunner().invoke(application(["health"]), ["health", "-c", str(config)])
        assert (done.exit_code, done.stderr) == (1, "not well: no step has finished for 20s; a\\x1b[2J\n")
    gone = CliRunner().invoke(application(["health"]), ["health", "-c", str(config), "--timeout", "1"])
    assert gone.exit_code == 1
    assert gone.stderr.startswith(f"no daemon answers at 127.0.0.1:{address[1]}: ")
    config.write_text(text.replace("0.0.0.0:PORT", "off"))
    off = CliRunner().invoke(application(["health"]), ["health", "-c", str(config)])
    assert off.exit_code == 2
