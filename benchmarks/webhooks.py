"""A loopback server in a receiver's place, which notes when each webhook had come in whole."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhooks(ThreadingHTTPServer):
    """Listens on a free port.

    Parameters
    ----------
    received
        Time in ns since 1970 and body of each, in order; filled as they come.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.received: list[tuple[int, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Webhooks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((time.time_ns(), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: it would be a line each."""


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    """Such a server at work.

    Its process looks for garbage only among what is made meanwhile: with the workloads of a whole run in
    memory one look takes 85 ms, and would be taken for a late webhook.
    """
    gc.freeze()
    with Webhooks() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            gc.unfreeze()
