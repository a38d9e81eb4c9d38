"""An HTTP server for a few short answers, which no client can fill up, hold up or bring down."""

from __future__ import annotations

import errno
import http.client
import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from streamer.notify.attempt import plain_traceback

log = structlog.get_logger(__name__)

Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type and body."""

MOST_CONNECTIONS = 32
"""Connections at once, and threads, which end later where an answer takes long; one more and the oldest that
has not asked anything is closed, so that somebody who asks is answered even while others only hold
connections. Where all are at work on answers, the new one is closed."""

REQUEST_WITHIN_S = 10.0
"""Total time of a connection: request, answer and all pauses in between."""

REQUEST_BYTES = 16_384
"""Bytes of a request's line and headers; a scraper sends a few hundred."""

_TOLD_EVERY_S = 60.0
_THREAD_ENDS_WITHIN_S = 1.0  # once its connection is closed, where it only waits for a request
_AFTER_SHORTAGE_S = 0.2
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PLAIN = "text/plain; charset=utf-8"


class BoundedServer(ThreadingHTTPServer):
    """Answers GET and HEAD, one request a connection.

    Parameters
    ----------
    address
        Host and port; port 0 picks a free one.
    answer
        Gives the answer to a path and an Accept header.

    Raises
    ------
    OSError
        When the address cannot be bound.
    """

    daemon_threads = True
    block_on_close = False  # a client that keeps its connection open must not delay shutdown
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Callable[[str, str], Answer]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.answer = answer
        self._open: dict[socket.socket, float] = {}  # the oldest first; monotonic seconds of their beginning
        self._asked: set[socket.socket] = set()  # those of them whose request has been read
        self._counting = threading.Lock()
        self._free_threads = threading.Semaphore(MOST_CONNECTIONS)
        self._refused = 0
        self._told_at = -_TOLD_EVERY_S
        super().__init__(address, _Handler)

    def asked(self, request: socket.socket) -> None:
        """Note that a connection's request has been read: it is not closed in favour of another one."""
        with self._counting:
            if request in self._open:
                self._asked.add(request)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where files or memory have run out, close the oldest and go on."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _SHORTAGES:
                self._tell(str(error))
                self._close_oldest()
                time.sleep(_AFTER_SHORTAGE_S)  # the connection still waits: do not spin
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own; close the connection where none is free, nor becomes so at once."""
        if not self._take_thread():
            self._refused += 1
            self._tell("all threads are at work on answers", refused=self._refused)
            super().shutdown_request(request)
            return
        with self._counting:
            self._open[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._free_threads.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and let the next one have the thread's place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free_threads.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._forget(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close connections whose time is over; called between requests, ten times a second."""
        latest = time.monotonic() - REQUEST_WITHIN_S
        with self._counting:
            over = [request for request, began in self._open.items() if began < latest]
        for request in over:
            self._cut(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what went wrong with one connection; the others go on."""
        error = sys.exception()
        if isinstance(error, RuntimeError | MemoryError):  # no thread could be started
            self._tell(str(error))
        elif isinstance(error, ConnectionError | TimeoutError | OSError | ValueError):
            log.debug("client disconnected")  # or nothing that could be answered
        else:
            log.error("request failed", traceback=plain_traceback())

    def _take_thread(self) -> bool:
        if self._free_threads.acquire(blocking=False):
            return True
        if self._close_oldest():
            return self._free_threads.acquire(timeout=_THREAD_ENDS_WITHIN_S)
        return self._free_threads.acquire(blocking=False)

    def _close_oldest(self) -> bool:
        """Close the oldest connection; whether it has not asked anything, so that its thread ends now."""
        with self._counting:
            waiting = next((request for request in self._open if request not in self._asked), None)
            oldest = waiting or next(iter(self._open), None)
        if oldest is not None:
            self._cut(oldest)
        return waiting is not None

    def _cut(self, request: socket.socket) -> None:
        """End a connection under its thread, which then closes it."""
        self._forget(request)
        try:
            request.shutdown(socket.SHUT_RDWR)
        except OSError:
            log.debug("client disconnected")

    def _forget(self, request: socket.socket) -> None:
        with self._counting:
            self._open.pop(request, None)
            self._asked.discard(request)

    def _tell(self, reason: str, **more: int) -> None:
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            log.warning("a request cannot be served, others go on", reason=reason, **more)


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_WITHIN_S
    server: BoundedServer
    server_version, sys_version = "tapewatch", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = _Head(self.rfile)

    def do_GET(self) -> None:
        self.server.asked(self.request)
        path = self.path.partition("?")[0]
        self._send(*self.server.answer(path, self.headers.get("Accept", "")))

    do_HEAD = do_GET  # noqa: N815 - the name is the base class's

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, b"GET or HEAD\n", Allow="GET, HEAD")

    def _send(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what is no request, without repeating anything of it."""
        status = HTTPStatus(code)
        self.close_connection = True
        self._send(status, _PLAIN, f"{status.phrase}\n".encode())

    def log_message(self, *_: object) -> None:
        """Log nothing: scrapes come every few seconds."""


class _Head(io.BufferedIOBase):
    """The line and the headers of a request, and no more than `REQUEST_BYTES` of them."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source
        self._left = REQUEST_BYTES

    def readline(self, size: int | None = -1) -> bytes:
        if self._left <= 0:
            raise http.client.LineTooLong("header")
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        line = self._source.readline(wanted)
        self._left -= len(line)
        return line

    def close(self) -> None:
        self._source.close()
        super().close()
