"""Looks whether a server of a receiver can be connected to, and says what to do where it cannot."""

from __future__ import annotations

from urllib.parse import urlsplit

from alerts.receivers.errors import ReceiverError
from alerts.receivers.http_client import HttpClient
from alerts.receivers.receiver import RetryableError

_REMEDIES = {
    "unreachable": "check host and port, and that the server runs",
    "no_answer": "check port, https or http, and what stands before the server",
    "http_401": "its server wants credentials: check the address and the headers",
    "http_403": "its server refuses these credentials: check the address, the headers and the secret",
    "http_404": "nothing is there: check the path of the address, and whether the hook still exists",
    "http_405": "nothing there takes a POST: check the path of the address",
    "http_407": "the proxy wants credentials: check them in its address",
    "http_410": "the hook is gone: make a new one, and set its address",
    "http_413": "the message is too large for its server: raise the limit there",
    "http_429": "its server takes no more for now: try again later",
    "timeout": "check host and port, firewalls, and whether a proxy is needed",
}
_FAULT = "its server has a fault, or is away: look at its log, and at what stands before it"


def connected(http: HttpClient, url: str, option: str) -> str:
    """Connect to a receiver's server without sending anything.

    Parameters
    ----------
    http
        The receiver's client.
    url
        The address; only its host and port are told.
    option
        The setting that holds it.

    Returns
    -------
    str
        Where to, and whether with TLS, for people.

    Raises
    ------
    ReceiverError
        With the cause and the remedy.
    """
    try:
        tls = http.connect(url)
    except RetryableError as error:
        raise ReceiverError(f"{place_of(url)}: {with_remedy(str(error))}", option) from error
    return f"{place_of(url)} over {tls.replace('v', ' ')}" if tls else f"{place_of(url)}, without TLS"


def with_remedy(reason: str) -> str:
    """The reason of a failure with what to do about it, where the reason does not say so itself.

    Examples
    --------
    >>> with_remedy("unreachable: connection refused")
    'unreachable: connection refused: check host and port, and that the server runs'
    >>> with_remedy("http_503")
    'http_503: its server has a fault, or is away: look at its log, and at what stands before it'
    """
    if "name of its host" in reason:
        return f"{reason}: check its spelling, and this machine's name server"
    code = reason.removeprefix("proxy: ").partition(":")[0]
    if code in _REMEDIES:
        return f"{reason}: {_REMEDIES[code]}"
    return f"{reason}: {_FAULT}" if code.startswith("http_5") else reason


def place_of(url: str) -> str:
    """Host and port of an address: the rest of it may be a secret.

    Examples
    --------
    >>> place_of("https://ops.example/hooks/x1")
    'ops.example:443'
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
