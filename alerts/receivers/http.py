"""Settings of receivers that are reached over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from alerts.durations import NS_PER_SECOND, duration_ns
from alerts.receivers.kind import KindSettings

_MAX_TIMEOUT_S = 120  # a receiver's thread must notice within this that the service is stopping


def _timeout(text: str) -> str:
    seconds = duration_ns(text) // NS_PER_SECOND
    if not 1 <= seconds <= _MAX_TIMEOUT_S:
        raise ValueError(f"{text!r} is not between 1s and {_MAX_TIMEOUT_S}s")
    return text


def http_url(text: str) -> str:
    """Check an address that alerts are posted to.

    Raises
    ------
    ValueError
        When it is not http(s), names no host, carries a password, or has characters that need encoding.

    Examples
    --------
    >>> http_url("https://ops.example/hook")
    'https://ops.example/hook'
    >>> http_url("ops.example/hook")
    Traceback (most recent call last):
        ...
    ValueError: an address starts with https:// or http:// and names a host
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an address is plain ASCII without spaces; a name in other letters is written xn--…")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address starts with https:// or http:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address carries no user name or password")
    if parts.port == 0:  # raises ValueError where it is no number
        raise ValueError("nobody listens on port 0: give the server's port, or leave it out")
    return text


HttpUrl = Annotated[str, AfterValidator(http_url)]
"""An address, kept as it was written; a whole address that is a secret is a `Secret` instead."""


class HttpSettings(KindSettings):
    """What every receiver over HTTP can set.

    Parameters
    ----------
    timeout
        For the whole of each request: connecting, sending, and the answer to its end; from 1s to 120s.
    proxy
        An HTTP proxy.
    ca
        PEM file of the certificates to trust, in place of the system's.
    """

    timeout: Annotated[str, AfterValidator(_timeout)] = "10s"
    proxy: HttpUrl | None = None
    ca: Path | None = None

    @property
    def timeout_s(self) -> int:
        """`timeout` in seconds."""
        return duration_ns(self.timeout) // NS_PER_SECOND

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a receiver reads when it is built."""
        return () if self.ca is None else (self.ca,)
