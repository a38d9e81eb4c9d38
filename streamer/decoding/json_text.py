"""The slow, thorough JSON parser: refuses bytes with a reason, and never raises anything else."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import RECORD_MAX_BYTES
from streamer.decoding.refusals import Refusal

MAX_DEPTH = 300
"""Deeper nesting is refused: parsers recurse, and their limit depends on the call depth so far."""

_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_INTEGER_DIGITS = 400  # more than any double has, fewer than int() accepts

_decode = msgspec.json.Decoder().decode


def admit(value: bytes | None) -> bytes:
    """A record's bytes, once checked to be safe to parse.

    Raises
    ------
    Refusal
        If the value is null, too large, not UTF-8 or nested too deeply.

    Examples
    --------
    >>> admit(b"{}")
    b'{}'
    >>> admit(b"[" * 1000)
    Traceback (most recent call last):
    streamer.decoding.refusals.Refusal: nested more than 300 deep
    """
    if value is None:
        raise Refusal(Reason.NULL_VALUE, "the value is null")
    if len(value) > RECORD_MAX_BYTES:
        raise Refusal(Reason.TOO_LARGE, f"{len(value)} bytes, more than {RECORD_MAX_BYTES}")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise Refusal(Reason.BAD_UTF8, f"byte {error.start}: {error.reason}") from None
    if value.count(b"[") + value.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise Refusal(Reason.TOO_DEEP, f"nested more than {MAX_DEPTH} deep")
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

    Numbers beyond a double's range, and NaN and Infinity, which some producers write, become non-finite
    floats, so that only an event with one in a field that is used is refused.

    Raises
    ------
    Refusal
        If the bytes are not one JSON document.

    Examples
    --------
    >>> parse(b'{"p": NaN, "q": 1e999}')
    {'p': nan, 'q': inf}
    >>> parse(b'{"p": 1')
    Traceback (most recent call last):
    streamer.decoding.refusals.Refusal: Input data was truncated
    """
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        message = str(error)
    try:
        document = json.loads(value.decode(), parse_int=_integer)
        if _SURROGATE.search(value):  # a lone one cannot be encoded
            json.dumps(document, ensure_ascii=False).encode()
    except (json.JSONDecodeError, UnicodeEncodeError):
        raise Refusal(Reason.BAD_JSON, message) from None
    return document


def _integer(digits: str) -> int | float:
    if len(digits) <= _INTEGER_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf
