"""`/metrics`, `/healthz` and `/readyz` over HTTP."""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from streamer.errors import TapewatchError, UsageError
from streamer.notify.attempt import plain_traceback

log = structlog.get_logger(__name__)

Check = Callable[[], str | None]
"""Returns what is wrong, None while nothing is."""

Detail = Callable[[], Mapping[str, object]]
"""Returns what is worth knowing besides, by name; it does not change the status."""

_TEXT = "text/plain; charset=utf-8"
_IDLE_S = 10.0  # then an idle connection is closed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that keeps its connection open must not delay shutdown

    def __init__(self, address: tuple[str, int], answer: Callable[[str, str], _Answer]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.answer = answer
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        if isinstance(sys.exception(), ConnectionError | TimeoutError):
            log.debug("client disconnected")
        else:
            log.error("request failed", traceback=plain_traceback())


_Answer = tuple[HTTPStatus, str, bytes]


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE_S
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        try:
            status, kind, body = self.server.answer(path, self.headers.get("Accept", ""))
        except TapewatchError as error:  # the store's; detection and delivery report it themselves
            log.warning("request failed", path=path, problem=str(error))
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"the store does not answer\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: scrapes come every few seconds."""


@contextmanager
def serving(
    address: tuple[str, int] | None,
    registry: CollectorRegistry,
    *,
    health: Check,
    readiness: Check,
    detail: Detail = dict,
) -> Iterator[tuple[str, int] | None]:
    """Serve requests on a thread until the context is left.

    Parameters
    ----------
    address
        Host and port (0 picks a free one), None to serve nothing.
    registry
        What ``/metrics`` shows.
    health, readiness
        The checks of ``/healthz`` and ``/readyz``: 200 while they return None, else 503 with the reason.
    detail
        What else ``/healthz`` says.

    Yields
    ------
    tuple or None
        Where it listens.

    Raises
    ------
    TapewatchError
        When the address cannot be bound; `UsageError` where another try would be no better.
    """
    if address is None:
        yield None
        return
    answer = _responder(registry, {"/healthz": health, "/readyz": readiness}, detail)
    try:
        server = _Server(address, answer)
    except (OSError, OverflowError) as error:
        kind = TapewatchError if getattr(error, "errno", None) == errno.EADDRINUSE else UsageError
        raise kind(f"serve.address: {_explain(address, error)}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="serve", daemon=True)
    thread.start()
    where = (str(server.server_address[0]), int(server.server_address[1]))
    log.info("serving", host=where[0], port=where[1])
    try:
        yield where
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _responder(
    registry: CollectorRegistry, checks: dict[str, Check], detail: Detail
) -> Callable[[str, str], _Answer]:
    def answer(path: str, accept: str) -> _Answer:
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return HTTPStatus.OK, kind, encode(registry)
        if path in checks:
            problem = checks[path]()
            body: dict[str, object] = {"status": "ok"}
            if problem is not None:
                body = {"status": "failing", "reason": problem}
            if path == "/healthz":
                body |= detail()
            status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", json.dumps(body).encode() + b"\n"
        return HTTPStatus.NOT_FOUND, _TEXT, b"/metrics, /healthz, /readyz\n"

    return answer


def _explain(address: tuple[str, int], error: OSError | OverflowError) -> str:
    host, port = address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"{where} is in use: stop the process that listens there, or set another address, or off"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission to listen on {where}: set a port above 1023, or off"
    return f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}"
