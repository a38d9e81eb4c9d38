"""The proxy that a receiver's requests go through."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from alerts.receivers.errors import ReceiverError


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy.

    Parameters
    ----------
    url
        Its address, without a login.
    headers
        What it is sent: a login, if it needs one.
    ca
        PEM file of certificates to trust beside the system's, for one that is reached over TLS.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: Path | None = None


def proxy_of_environment(url: str, ca: Path | None = None) -> HttpProxy | None:
    """The proxy that the environment names for an address (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``).

    Raises
    ------
    ReceiverError
        When it is of a kind that is not supported.
    """
    parts = urlsplit(url)
    named = getproxies().get(parts.scheme)
    if not named or proxy_bypass(parts.netloc):
        return None
    proxy = urlsplit(named if "://" in named else f"http://{named}")
    if proxy.scheme not in ("http", "https") or not proxy.hostname or not _has_good_port(proxy):
        raise ReceiverError(  # without its value, which may hold a password
            f"the environment's {parts.scheme.upper()}_PROXY is not the address of an HTTP proxy "
            "(http://host:port)"
        )
    host = f"[{proxy.hostname}]" if ":" in proxy.hostname else proxy.hostname
    address = f"{proxy.scheme}://{host}" + (f":{proxy.port}" if proxy.port else "")
    if proxy.username is None:
        return HttpProxy(address, {}, ca)
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    basic = base64.b64encode(login.encode()).decode()
    return HttpProxy(address, {"proxy-authorization": f"Basic {basic}"}, ca)


def _has_good_port(address: SplitResult) -> bool:
    try:
        return address.port is None or address.port > 0
    except ValueError:
        return False
