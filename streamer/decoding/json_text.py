"""Record bytes to JSON values where the quick way has refused: with the reason, and no surprises."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import RECORD_MAX_BYTES
from streamer.decoding.refusals import Refused

MAX_DEPTH = 300
"""Deeper nesting is refused: parsers recurse, and where they give up depends on who called them."""

_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_INTEGER_DIGITS = 400  # more than any double has, fewer than int() takes

_decode = msgspec.json.Decoder().decode


def admit(value: bytes | None) -> bytes:
    """The bytes of a record, once they are known to be safe to parse.

    Raises
    ------
    Refused
        For null, too large, not UTF-8, nested too deeply.

    Examples
    --------
    >>> admit(b"{}")
    b'{}'
    >>> admit(b"[" * 1000)
    Traceback (most recent call last):
    streamer.decoding.refusals.Refused: nested more than 300 deep
    """
    if value is None:
        raise Refused(Reason.NULL_VALUE, "the value is null")
    if len(value) > RECORD_MAX_BYTES:
        raise Refused(Reason.TOO_LARGE, f"{len(value)} bytes, more than {RECORD_MAX_BYTES}")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise Refused(Reason.BAD_UTF8, f"byte {error.start}: {error.reason}") from None
    if value.count(b"[") + value.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise Refused(Reason.TOO_DEEP, f"nested more than {MAX_DEPTH} deep")
    return value


def _too_deep(value: bytes) -> bool:
    depth = deepest = 0
    for byte in _STRING.sub(b"", value).translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest > MAX_DEPTH


def parse(value: bytes) -> Any:
    """The JSON value of admitted bytes.

    A number beyond a double, and the words NaN and Infinity that some producers write, become
    floats that are not finite, so that only the event that has one in a field that is used is refused.

    Raises
    ------
    Refused
        Where the bytes are no JSON document.

    Examples
    --------
    >>> parse(b'{"p": NaN, "q": 1e999}')
    {'p': nan, 'q': inf}
    >>> parse(b'{"p": 1')
    Traceback (most recent call last):
    streamer.decoding.refusals.Refused: Input data was truncated
    """
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        message = str(error)
    try:
        found = json.loads(value.decode(), parse_int=_integer)
        if _SURROGATE.search(value):
            json.dumps(found, ensure_ascii=False).encode()
    except (json.JSONDecodeError, UnicodeEncodeError):
        raise Refused(Reason.BAD_JSON, message) from None
    return found


def _integer(digits: str) -> int | float:
    if len(digits) <= _INTEGER_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf
