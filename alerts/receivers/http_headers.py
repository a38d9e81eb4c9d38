"""Headers of a receiver's own: what may be set, and which values must be secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Tag

from alerts.secrets import Resolve, Secret, SecretError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_OWN = ("webhook-", "tapewatch-")
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SECRET = re.compile(r"(^|[-_])(authorization|cookie|token|secret|password|(api|access|auth)[-_]?key)$")


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is not the name of a header: letters, digits and hyphens")
    lower = name.lower()
    if lower in _RESERVED or lower.startswith(_OWN):
        raise ValueError(f"the header '{name}' is set by tapewatch itself: leave it out")
    return name


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError("the value of a header is printable ASCII text, not empty, without spaces around it")
    return text


def _kind(value: Any) -> str:
    return "secret" if isinstance(value, Mapping | Secret) else "text"


def _checked(headers: Mapping[str, str | Secret]) -> Mapping[str, str | Secret]:
    seen: set[str] = set()
    for name, value in headers.items():
        if name.lower() in seen:
            raise ValueError(f"the header '{name}' is there twice: case does not tell headers apart")
        seen.add(name.lower())
        if isinstance(value, str) and _SECRET.search(name.lower()):
            raise ValueError(f"the value of '{name}' is a secret: give {{env: NAME}} or {{file: PATH}}")
    return headers


HeaderName = Annotated[str, AfterValidator(_name)]
HeaderValue = Annotated[
    Annotated[str, AfterValidator(_value), Tag("text")] | Annotated[Secret, Tag("secret")],
    Discriminator(_kind),
]
Headers = Annotated[dict[HeaderName, HeaderValue], AfterValidator(_checked)]
"""Names and values of headers; a value is a text or a `Secret`."""


def resolved_headers(
    headers: Mapping[str, str | Secret], resolve: Resolve, whose: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Headers as they are sent, with their names in lower case, and those of their values that are secrets.

    Parameters
    ----------
    headers
        From the settings.
    resolve
        Gives the value of a secret.
    whose
        The receiver, for messages.

    Raises
    ------
    SecretError
        When a secret is missing, or cannot be sent in a header.

    Examples
    --------
    >>> headers = {"X-Team": "fx", "Authorization": Secret(env="A")}
    >>> resolved_headers(headers, lambda _: "Bearer b", "webhook ops")
    ({'x-team': 'fx', 'authorization': 'Bearer b'}, ('Bearer b',))
    """
    sent: dict[str, str] = {}
    secrets: list[str] = []
    for name, value in headers.items():
        text = value if isinstance(value, str) else resolve(value)
        if not _VALUE.fullmatch(text):
            raise SecretError(
                f"the value of header {name} of {whose} is not one line of printable ASCII text",
                "headers",
                name,
            )
        if not isinstance(value, str):
            secrets.append(text)
        sent[name.lower()] = text
    return sent, tuple(secrets)
