"""One deadline for a whole HTTP exchange: address, connection, TLS, proxy, request and answer.

A timeout of a socket bounds each wait, so a server that sends a byte now and then is waited for without end.
These sockets are given what is left of the exchange's time before each operation instead.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


class Deadline:
    """When an exchange must be over, and how far it has come.

    Parameters
    ----------
    seconds
        How long it may take.
    """

    def __init__(self, seconds: float) -> None:
        self.connected = False
        """Whether the connection stands, so that the request may have been sent."""
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left, always more than 0.

        Raises
        ------
        TimeoutError
            When none are.
        """
        left = self.left_or_0()
        if not left:
            raise TimeoutError("the time for the whole exchange is over")
        return left

    def left_or_0(self) -> float:
        """Seconds that are left, 0 when none are."""
        return max(self._until - time.monotonic(), 0.0)


_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)

_current: ContextVar[Deadline | None] = ContextVar("deadline of this thread's exchange", default=None)


@contextmanager
def within(seconds: float) -> Iterator[Deadline]:
    """Bound what sockets of this module do on this thread, all of it together.

    Parameters
    ----------
    seconds
        How long that may take; afterwards each operation raises `TimeoutError`.

    Examples
    --------
    >>> with within(60.0) as deadline:
    ...     59 < deadline.left() <= 60, deadline.connected
    (True, False)
    """
    deadline = Deadline(seconds)
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)


def current_deadline() -> Deadline:
    """The deadline of this thread's exchange.

    Raises
    ------
    RuntimeError
        Outside of `within`.
    """
    deadline = _current.get()
    if deadline is None:
        raise RuntimeError("an exchange is made `within` some seconds")
    return deadline


def _bound(sock: socket.socket) -> None:
    deadline = _current.get()
    if deadline is not None:
        sock.settimeout(deadline.left())


def _answer_at_once(sock: socket.socket) -> None:
    """Acknowledge what comes without delay, as on a new connection.

    A server that sends the head of an answer and its body apart waits for that, 40 ms with each answer.
    Linux forgets it after a while, so it is asked for each time.
    """
    if _QUICKACK is not None:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class BoundedSocket(socket.socket):
    """A socket whose every operation ends with the exchange."""

    def recv(self, *arguments: Any) -> bytes:
        """Receive, for as long as is left."""
        _bound(self)
        _answer_at_once(self)
        return super().recv(*arguments)

    def recv_into(self, *arguments: Any) -> int:
        """Receive, for as long as is left."""
        _bound(self)
        _answer_at_once(self)
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:
        """Send, for as long as is left."""
        _bound(self)
        return super().send(*arguments)

    def sendall(self, *arguments: Any) -> None:
        """Send all of it, for as long as is left: that bounds the whole, not each part."""
        _bound(self)
        super().sendall(*arguments)


class BoundedTlsSocket(ssl.SSLSocket):
    """The same over TLS. One handshake, one read and one write are each bounded as a whole by Python."""

    def do_handshake(self, block: bool = False) -> None:
        """Agree on keys, for as long as is left."""
        _bound(self)
        super().do_handshake(block)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002 - the overridden name
        """Receive, for as long as is left."""
        _bound(self)
        _answer_at_once(self)
        return super().read(len, buffer)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send, for as long as is left; `sendall` calls it for each part."""
        _bound(self)
        try:
            return super().send(data, flags)
        except (ssl.SSLEOFError, ConnectionError):
            self.read(1)  # raises why, where a server of TLS 1.3 refuses this client after the handshake
            raise


def connected_socket(host: str, port: int, options: Sequence[tuple[Any, ...]]) -> BoundedSocket:
    """Connect to the first address of a host that answers.

    Parameters
    ----------
    host, port
        Where to.
    options
        Arguments of `socket.setsockopt`.

    Raises
    ------
    socket.gaierror
        When the name is not known.
    TimeoutError
        When the time was not enough.
    OSError
        When none of the addresses can be connected to.
    """
    deadline = current_deadline()
    found = _addresses(host, port, deadline)
    failure = OSError(f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        sock = BoundedSocket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            # a share each, so that one address that swallows everything leaves time for the others
            sock.settimeout(deadline.left() / (len(found) - number))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


_lookups: dict[tuple[str, int], Future[list[_Address]]] = {}
_lookups_lock = threading.Lock()


def _addresses(host: str, port: int, deadline: Deadline) -> list[_Address]:
    try:
        return _look_up(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    # A look-up cannot be ended from outside. Whoever asks for the same name meanwhile waits for the same one,
    # so there is never more than one thread a name, however long the name server is silent.
    with _lookups_lock:
        lookup = _lookups.get((host, port))
        if lookup is None:
            lookup = _lookups[host, port] = Future()
            threading.Thread(target=_settle, args=(lookup, host, port), name="look-up", daemon=True).start()
    return lookup.result(deadline.left())


def _settle(lookup: Future[list[_Address]], host: str, port: int) -> None:
    try:
        found = _look_up(host, port)
    except BaseException as error:  # noqa: BLE001 - raised where the result is taken
        with _lookups_lock:
            del _lookups[host, port]
        lookup.set_exception(error)
    else:
        with _lookups_lock:
            del _lookups[host, port]
        lookup.set_result(found)


def _look_up(host: str, port: int, flags: int = 0) -> list[_Address]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
    except UnicodeError as error:  # an empty part, or one that is too long
        raise socket.gaierror(socket.EAI_NONAME, "not the name of a host") from error
