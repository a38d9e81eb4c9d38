"""HTTP as receivers use it: one request and its answer within a deadline, and no redirect is followed."""

from __future__ import annotations

import logging
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from alerts.receivers.http_deadline import Deadline, connected_socket, current_deadline, within
from alerts.receivers.http_proxy import HttpProxy
from alerts.receivers.http_tls import certificate_failure, is_refusal, proxy_context, tls_failure
from alerts.receivers.receiver import PermanentError, RetryableError
from alerts.receivers.redaction import Redaction

_CONNECTIONS = 16  # kept open to one server: as many deliveries as can be under way
_DRAIN_S = 0.5  # for the rest of an answer that says no more, so that its connection can be used again
_REFUSED_WITHIN_S = 0.5  # in which a server says after the handshake that it does not take a client
_HOST_LENGTH = 80  # characters of the host that a redirect names

for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).propagate = False  # they log addresses, which can be secrets


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered.

    Parameters
    ----------
    status, headers
        As received.
    body
        Its bytes, decoded where they were compressed, up to the length that was asked for.
    complete
        Whether that is all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    complete: bool

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")


class HttpClient:
    """Makes requests to one server.

    Each takes at most `timeout_s`, all of it together: finding the address, connecting, TLS, sending, and the
    whole answer, through a proxy or not. It may be used by several threads at a time.

    Parameters
    ----------
    timeout_s
        Seconds for each request.
    tls
        What connections to the server go by (`server_context`).
    proxy
        Through which proxy, None for none.
    option
        The setting that holds the address, named where it has to be changed.
    redaction
        Hides in answers what is secret.
    """

    def __init__(
        self,
        timeout_s: float,
        tls: ssl.SSLContext,
        proxy: HttpProxy | None,
        option: str,
        redaction: Redaction,
    ) -> None:
        self.redaction = redaction
        self._timeout_s = timeout_s
        self._option = option
        common: dict[str, Any] = {"ssl_context": tls, "maxsize": _CONNECTIONS, "retries": False}
        self._http: urllib3.PoolManager
        if proxy is None:
            self._http = urllib3.PoolManager(**common)
        else:
            self._http = urllib3.ProxyManager(
                proxy.url,
                proxy_headers=proxy.headers,
                proxy_ssl_context=proxy_context(proxy.ca),
                **common,
            )
        self._http.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], most: int, *, status_says_all: bool = False
    ) -> HttpAnswer:
        """Make one request.

        Parameters
        ----------
        url
            Where to.
        body, headers
            What to send.
        most
            Bytes of the answer that are wanted; the rest of a longer one is not read.
        status_says_all
            True where nobody looks at the body of a 2xx answer: it is not waited for then.

        Raises
        ------
        RetryableError
            When no final status came; in doubt where the request may have been sent.
        PermanentError
            When the answer is a redirect.
        """
        with within(self._timeout_s) as deadline:
            try:
                response = self._http.request(
                    "POST", url, body=body, headers=headers, redirect=False, preload_content=False
                )
            except (urllib3.exceptions.HTTPError, OSError, HTTPException) as error:
                raise self._no_answer(error, deadline) from error
            if status_says_all and 200 <= response.status < 300:
                # the status may have come at the last moment, which makes it no less true
                with within(min(_DRAIN_S, deadline.left_or_0())):
                    answer = _read(response, most)
            else:
                answer = _read(response, most)
        if answer.status < 200:  # 101: it speaks another protocol from here on
            raise RetryableError(f"http_{answer.status}", in_doubt=True, answer=self.shown(answer))
        if 300 <= answer.status < 400:
            raise self._redirected(url, answer)
        return answer

    def connect(self, url: str) -> str:
        """Connect as a request would, through the proxy and with TLS, and send nothing.

        Parameters
        ----------
        url
            Where to.

        Returns
        -------
        str
            The version of TLS, such as ``TLSv1.3``; empty without it.

        Raises
        ------
        RetryableError
            When there is no connection, or the server refuses this client's certificate.
        """
        with within(self._timeout_s) as deadline:
            try:
                return _connected(self._http.connection_from_url(url), deadline)
            except (urllib3.exceptions.HTTPError, OSError, HTTPException) as error:
                raise self._no_answer(error, deadline) from error

    def shown(self, answer: HttpAnswer) -> str:
        """The beginning of an answer, fit to be kept and shown."""
        return self.redaction.shown(answer.text)

    def _redirected(self, url: str, answer: HttpAnswer) -> PermanentError:
        location = answer.headers.get("location")
        if not location:
            return PermanentError(f"http_{answer.status}", answer=self.shown(answer))
        try:
            there = urlsplit(urljoin(url, location))
            place = f"{there.scheme}://{there.hostname}" if there.hostname else "nowhere"
        except ValueError:
            place = "nowhere"
        return PermanentError(
            f"http_{answer.status}: it redirects to {self.redaction.shown(place, _HOST_LENGTH)}, "
            f"which is not followed; if it has moved there, change {self._option}",
            answer=self.shown(answer),
        )

    def _no_answer(self, error: Exception, deadline: Deadline) -> RetryableError:
        reason, sent = self._reason(error, deadline), deadline.connected
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLError) and is_refusal(cause):
                sent = False  # with TLS 1.3 it comes after the request was sent, and in place of reading it
        return RetryableError(self.redaction.shown(reason, 180), in_doubt=sent, everything=True)

    def _reason(self, error: Exception, deadline: Deadline) -> str:
        causes = list(_causes(error))
        of_proxy = any(isinstance(cause, urllib3.exceptions.ProxyError) for cause in causes)
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return certificate_failure(cause, "of the proxy" if of_proxy else "")
            if isinstance(cause, TimeoutError):
                if deadline.connected:
                    return f"timeout: no answer within {self._timeout_s:g} s"
                return f"timeout: not connected within {self._timeout_s:g} s"
            if isinstance(cause, ssl.SSLEOFError):
                return "no_answer: the server closed the connection"
            if isinstance(cause, ssl.SSLError):
                return tls_failure(cause)
            if isinstance(cause, socket.gaierror):
                return "unreachable: the name of its host is not known" + (" (proxy)" if of_proxy else "")
            if isinstance(cause, OSError):
                what = (cause.strerror or str(cause) or type(cause).__name__).lower()
                where = "proxy: " if of_proxy else ""
                return f"{where}no_answer: {what}" if deadline.connected else f"{where}unreachable: {what}"
        return f"no_answer: {type(causes[-1]).__name__}"


class _FinalResponse(HTTPResponse):
    """The final answer: informational ones before it are skipped, as http.client does only with 100."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, 100 if 101 < status < 200 else status, reason


class _Connection(HTTPConnection):
    """A connection that notes when it stands, and whose socket keeps the deadline."""

    response_class = _FinalResponse

    def _new_conn(self) -> socket.socket:
        return _opened(self)

    def connect(self) -> None:
        super().connect()
        current_deadline().connected = True

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:
            current_deadline().connected = True  # since an earlier request, or a TLS handshake
        super().request(*arguments, **options)


class _TlsConnection(HTTPSConnection):
    """The same over TLS."""

    response_class = _FinalResponse

    def _new_conn(self) -> socket.socket:
        return _opened(self)

    def connect(self) -> None:
        super().connect()
        current_deadline().connected = True

    def request(self, *arguments: Any, **options: Any) -> None:
        if self.sock is not None:
            current_deadline().connected = True
        super().request(*arguments, **options)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _connected(pool: urllib3.HTTPConnectionPool, deadline: Deadline) -> str:
    """Open one connection of a pool and close it again; the version of TLS that it had."""
    connection: Any = pool._new_conn()
    try:
        try:
            if pool.proxy is not None and isinstance(connection, _TlsConnection):
                pool._prepare_proxy(connection)
            else:
                connection.connect()
        except (urllib3.exceptions.HTTPError, OSError, HTTPException) as error:
            if connection.proxy is not None and not connection.has_connected_to_proxy:
                raise urllib3.exceptions.ProxyError("not connected to the proxy", error) from error
            raise
        tls = connection.sock
        if not isinstance(tls, ssl.SSLSocket):
            return ""
        with within(min(_REFUSED_WITHIN_S, deadline.left_or_0())), suppress(TimeoutError):
            if not tls.read(1):  # with TLS 1.3 a server refuses a client's certificate after the handshake
                raise ssl.SSLEOFError("the server closed the connection")
        return tls.version() or "TLS"
    finally:
        connection.close()


def _opened(connection: HTTPConnection) -> socket.socket:
    """The socket of a new connection, with errors as urllib3 expects them."""
    host, port = connection._dns_host, connection.port  # as urllib3's own method
    options: Sequence[tuple[Any, ...]] = connection.socket_options or ()
    try:
        return connected_socket(host, port or connection.default_port, options)
    except socket.gaierror as error:
        raise urllib3.exceptions.NameResolutionError(host, connection, error) from error
    except TimeoutError as error:
        raise urllib3.exceptions.ConnectTimeoutError(connection, "not connected in time") from error
    except OSError as error:
        raise urllib3.exceptions.NewConnectionError(connection, "not connected") from error


def _read(response: urllib3.BaseHTTPResponse, most: int) -> HttpAnswer:
    """What comes of an answer in time. Its status has come, so an error here only cuts it short."""
    body, complete = bytearray(), False
    try:
        while len(body) < most:
            part = response.read1(most - len(body), decode_content=False)
            if not part:
                complete = True
                break
            body += part
        else:
            complete = not response.read1(1, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError, HTTPException, ValueError):
        complete = False
    if complete and response.status >= 200:
        response.release_conn()
    else:
        response.close()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status, headers, *_decoded(bytes(body), headers, most, complete))


def _decoded(body: bytes, headers: Mapping[str, str], most: int, complete: bool) -> tuple[bytes, bool]:
    """The body without its compression, which was not asked for, up to the length that is wanted."""
    if headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body, complete
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = decoder.decompress(body, most)
    except zlib.error:
        return body, complete
    return plain, complete and decoder.eof


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it was made of, the outermost first."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [each for each in one.args if isinstance(each, BaseException)]
        waiting += inner + [each for each in (one.__cause__, one.__context__) if each is not None]
