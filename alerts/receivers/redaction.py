"""What a server answered, as it may be kept and shown."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, urlsplit

from alerts.plain_text import one_line

ANSWER_LENGTH = 500
"""Characters of an answer that are kept."""

_HIDDEN = "[secret]"
_LOOKED_AT = 65_536  # characters of a long answer
_PART_LENGTH = 8  # characters; a shorter part of a secret is a word such as Bearer


class Redaction:
    r"""Makes answers of a server fit to be shown: one line, cut, and without the secrets it was sent.

    Parameters
    ----------
    secrets
        What was sent there and must not be shown. Their parts are hidden as well (of ``Bearer xoxb-1-abc``
        the token), and so are usual encodings.

    Examples
    --------
    >>> Redaction(["Bearer xoxb-1-abc"]).shown('unknown token "xoxb-1-abc",\n try again')
    'unknown token "[secret]", try again'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._longest = len(longest_first[0]) if longest_first else 0
        pattern = "|".join(map(re.escape, longest_first))
        self._pattern = re.compile(pattern, re.IGNORECASE) if pattern else None

    def __repr__(self) -> str:
        """Nothing that it hides."""
        return "<Redaction>"

    def hide(self, text: str) -> str:
        """The whole text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(_HIDDEN, text)

    def shown(self, text: str, length: int = ANSWER_LENGTH) -> str:
        """The text on one line, without control characters and secrets, cut to this many characters."""
        whole = len(text) <= _LOOKED_AT
        text = text[:_LOOKED_AT]
        text = self.hide(text)
        if not whole:
            text = text[: len(text) - self._longest]  # a secret may have been cut through there
        line = one_line(" ".join(text.split()))
        return line if len(line) <= length else line[: length - 1] + "…"


def _forms(secret: str) -> Iterator[str]:
    for part in {secret, *_parts(secret)}:
        in_json = json.dumps(part)[1:-1]
        yield from (part, quote(part, safe=""), quote_plus(part), html.escape(part))
        yield from (in_json, in_json.replace("/", "\\/"), json.dumps(part, ensure_ascii=False)[1:-1])
        for in_repr in _in_reprs(part):
            yield from (in_repr, json.dumps(in_repr)[1:-1], json.dumps(in_repr, ensure_ascii=False)[1:-1])


def _in_reprs(part: str) -> Iterator[str]:
    """As Python shows it in a list or an error, where it begins a text or one with both kinds of quotes."""
    data = part.encode(errors="surrogateescape")
    yield from (repr(part)[1:-1], repr(f'"{part}')[2:-1], repr(data)[2:-1], repr(b'"' + data)[3:-1])


def _parts(secret: str) -> Iterator[str]:
    address = urlsplit(secret)
    hidden = f"{address.path}?{address.query}" if address.netloc else secret  # its host may be told
    for part in {address.path if address.netloc else "", *re.split(r"[\s/?&=]+", hidden)}:
        if len(part) >= _PART_LENGTH:
            yield part
    scheme, _, rest = secret.partition(" ")
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield login
        yield login.partition(":")[2] or login
