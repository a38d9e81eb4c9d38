"""Looks whether a server of a receiver can be connected to, and says what to do where it cannot."""

from __future__ import annotations

from urllib.parse import urlsplit

from alerts.receivers.errors import ReceiverError
from alerts.receivers.http_client import HttpClient
from alerts.receivers.receiver import RetryableError

_REMEDIES = {
    "unreachable": "check host and port, and that the server runs",
    "no_answer": "check port, https or http, and what stands before the server",
    "timeout": "check host and port, firewalls, and whether a proxy is needed",
}


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
    >>> with_remedy("http_404")
    'http_404'
    """
    if "name of its host" in reason:
        return f"{reason}: check its spelling, and this machine's name server"
    code = reason.removeprefix("proxy: ").partition(":")[0]
    return f"{reason}: {_REMEDIES[code]}" if code in _REMEDIES else reason


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
