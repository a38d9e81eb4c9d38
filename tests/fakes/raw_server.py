"""A server on loopback that answers byte by byte as it is told, over TLS or in the clear."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]
"""What it does on one connection."""

PAUSE_S = 0.1  # between the bytes of a drip


class RawServer:
    """Listens, and talks on each connection in a thread of its own."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._talk = talk
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def stop(self) -> None:
        # else a thread that waits for a connection keeps the port
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for each in (self._listening, *self._open):
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._talk(connection)
            connection.close()


@contextmanager
def raw_server(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    server = RawServer(talk, tls)
    try:
        yield server
    finally:
        server.stop()


def request(connection: socket.socket) -> bytes:
    """The whole request."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(65_536)
        if not part:
            return got
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [
        line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    ]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes) -> Talk:
    """Takes requests, and gives each this answer."""

    def talk(connection: socket.socket) -> None:
        while request(connection):
            connection.sendall(answer)

    return talk


def dripping(at_once: bytes, drip: bytes = b"", *, ask: bool = True, seconds: float = 30.0) -> Talk:
    """Answers `at_once`, then `drip` over and over, a byte every so often, and never to an end."""

    def talk(connection: socket.socket) -> None:
        if ask:
            request(connection)
        connection.sendall(at_once)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for byte in drip or (None,):
                if byte is not None:
                    connection.sendall(bytes([byte]))
                time.sleep(PAUSE_S)

    return talk


def sipping(connection: socket.socket) -> None:
    """Reads a request so slowly that it never gets all of it."""
    while connection.recv(100):
        time.sleep(PAUSE_S)
