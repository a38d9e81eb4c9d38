"""`/metrics`, `/healthz`, `/livez` and `/readyz` over HTTP."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from streamer.errors import TapewatchError, UsageError
from streamer.serve.bounded_server import Answer, BoundedServer

log = structlog.get_logger(__name__)

Check = Callable[[], str | None]
"""Returns what is wrong, None while nothing is."""

Detail = Callable[[], Mapping[str, object]]
"""Returns what is worth knowing besides, by name; it does not change the status."""

_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Checks:
    """What the pages of health say: 200 while a check returns None, else 503 with the reason.

    Parameters
    ----------
    health
        Of ``/healthz``: whether all is well.
    readiness
        Of ``/readyz``: whether new records are processed.
    liveness
        Of ``/livez``: whether the process has to be started again.
    detail
        What else ``/healthz`` says.
    """

    health: Check
    readiness: Check
    liveness: Check = lambda: None
    detail: Detail = dict


@contextmanager
def serving(
    address: tuple[str, int] | None,
    registry: CollectorRegistry,
    checks: Checks,
) -> Iterator[tuple[str, int] | None]:
    """Serve requests on a thread until the context is left.

    Parameters
    ----------
    address
        Host and port (0 picks a free one), None to serve nothing.
    registry
        What ``/metrics`` shows.
    checks
        What the other pages say.

    Yields
    ------
    tuple or None
        Where it listens.

    Raises
    ------
    TapewatchError
        When the address cannot be bound; `UsageError` where another try would be no better. An address that
        this machine does not have may come yet, and so may a name's.
    """
    if address is None:
        yield None
        return
    answer = _responder(registry, checks)
    try:
        server = BoundedServer(address, answer)
    except (OSError, OverflowError, TypeError, ValueError) as error:
        lasts = not isinstance(error, OSError) or error.errno in (errno.EACCES, errno.EPERM)
        kind = UsageError if lasts else TapewatchError
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


def _responder(registry: CollectorRegistry, checks: Checks) -> Callable[[str, str], Answer]:
    pages = {"/healthz": checks.health, "/readyz": checks.readiness, "/livez": checks.liveness}

    def answer(path: str, accept: str) -> Answer:
        try:
            return page(path, accept)
        except TapewatchError as error:  # the store's; detection and delivery report it themselves
            log.warning("request failed", path=path, problem=str(error))
            return HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"the store does not answer\n"

    def page(path: str, accept: str) -> Answer:
        if path == "/metrics":
            encode, kind = choose_encoder(accept)
            return HTTPStatus.OK, kind, encode(registry)
        if path in pages:
            problem = pages[path]()
            body: dict[str, object] = {"status": "ok"}
            if problem is not None:
                body = {"status": "failing", "reason": problem}
            if path == "/healthz":
                body |= checks.detail()
            status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", json.dumps(body).encode() + b"\n"
        return HTTPStatus.NOT_FOUND, _TEXT, b"/metrics, /healthz, /livez, /readyz\n"

    return answer


def _explain(address: tuple[str, int], error: Exception) -> str:
    host, port = address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"{where} is in use: stop the process that listens there, or set another address, or off"
    if number in (errno.EACCES, errno.EPERM):
        return f"no permission to listen on {where}: set a port above 1023, or off"
    return f"cannot listen on {where}: {getattr(error, 'strerror', None) or error}"
