"""The slow, thorough JSON parser: refuses bytes with a reason, and never raises anything else."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import msgspec

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import RECORD_MAX_BYTES
from streamer.decoding.json.byte_checks import has_lone_surrogate, nested_deeper
from streamer.decoding.refusals import Refusal

MAX_DEPTH = 300
"""Deeper nesting is refused: parsers recurse, and their limit depends on the call depth so far."""

_STOPPED_AT = re.compile(r"\(byte ([0-9]+)\)$")
_NOT_FINITE_AT = re.compile(rb"NaN|-?Infinity")
_INTEGER_DIGITS = sys.int_info.default_max_str_digits  # int() refuses longer ones
_LONG_INTEGER = re.compile(rb"(?<![.0-9eE])(?<![eE][+-])[1-9][0-9]{%d,}+(?![.eE])" % _INTEGER_DIGITS)

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
        remedy = "set `ignore: [tombstone]` beside its format if the topic is compacted"
        raise Refusal(Reason.NULL_VALUE, f"the value is null; {remedy}")
    if len(value) > RECORD_MAX_BYTES:
        raise Refusal(Reason.TOO_LARGE, f"{len(value)} bytes, more than {RECORD_MAX_BYTES}")
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise Refusal(Reason.BAD_UTF8, f"byte {error.start}: {error.reason}") from None
    if value.count(b"[") + value.count(b"{") > MAX_DEPTH and nested_deeper(value, MAX_DEPTH):
        raise Refusal(Reason.TOO_DEEP, f"nested more than {MAX_DEPTH} deep")
    return value


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
        if not (isinstance(error, msgspec.ValidationError) or _NOT_FINITE_AT.match(value, _place(message))):
            raise Refusal(Reason.BAD_JSON, message) from None
    try:
        document = _loads(value)
    except json.JSONDecodeError:
        raise Refusal(Reason.BAD_JSON, message) from None
    if has_lone_surrogate(value):
        raise Refusal(Reason.BAD_JSON, "half of a surrogate pair is no text")
    return document


def _loads(value: bytes) -> Any:
    try:
        return json.loads(value.decode())
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than int() accepts
        return json.loads(_LONG_INTEGER.sub(_as_infinite, value).decode())


def _place(message: str) -> int:
    """Where the parser stopped; beyond all bytes where it does not say so."""
    found = _STOPPED_AT.search(message)
    return RECORD_MAX_BYTES if found is None else int(found[1])


def _as_infinite(digits: re.Match[bytes]) -> bytes:
    """A number beyond a double's range, as long as the digits: those may be part of a text."""
    return b"1e".ljust(len(digits[0]), b"9")
