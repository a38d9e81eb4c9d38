"""What a scan must say of a row, by parsers that have nothing in common with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from streamer.decoding.json import JsonField

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_LEAST, _MOST = -(2**63), 2**63 - 1

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it is written."""

    text: str


class Members(list[tuple[str, Any]]):
    """The members of a JSON object, those of the same key too."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Of each field: whether it is there with its type, with another, and its value."""

    present: int
    other: int
    values: tuple[Any, ...]


_parse = json.JSONDecoder(object_pairs_hook=Members, parse_int=Number, parse_float=Number).decode


def expected(value: bytes, fields: Sequence[JsonField]) -> Expected | None:
    """What is in a row; None where it must be flagged."""
    try:
        _decode(value)
        found = _parse(value.decode())
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not isinstance(found, Members):
        return None
    present = other = 0
    values = []
    try:
        for number, field in enumerate(fields):
            there, right, value_found = _field(found, field)
            values.append(value_found)
            present |= (there and right) << number
            other |= (there and not right) << number
    except _FlaggedError:
        return None
    return Expected(present, other, tuple(values))


class _FlaggedError(Exception):
    pass


def _member(members: Members, key: str) -> list[Any]:
    found = [value for name, value in members if name == key]
    if len(found) > 1:
        raise _FlaggedError
    return found


def _field(members: Members, field: JsonField) -> tuple[bool, bool, Any]:
    for key in field.path[:-1]:
        found = _member(members, key)
        if not found:
            return False, False, None
        if not isinstance(found[0], Members):
            raise _FlaggedError
        members = found[0]
    found = _member(members, field.path[-1])
    if not found:
        return False, False, None
    value = _of_type(found[0], field.type)
    return True, value is not None, value


def _of_type(value: Any, kind: str) -> Any:
    if kind == "text":
        return value.encode() if isinstance(value, str) else None
    if kind == "flag":
        return value if isinstance(value, bool) else None
    text = value.text if isinstance(value, Number) else None
    if kind == "integer":
        if text is None or _INTEGER.fullmatch(text) is None:
            return None
        return int(text) if _LEAST <= int(text) <= _MOST else None
    if kind == "decimal" and isinstance(value, str) and _NUMBER.fullmatch(value):
        text = value
    if text is None:
        return None
    # readers do not agree on the zero of an integer -0, nor on what is beyond a double
    if math.isinf(float(text)) or (float(text) == 0 and _INTEGER.fullmatch(text) and text.startswith("-")):
        raise _FlaggedError
    return float(text)
