"""Why an event is refused, in a reason that can be counted and words that can be read."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import FIELDS, TEXT_MAX_CHARS, TIME_MAX_NS
from streamer.decoding.event_schema import EVENT

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from streamer.decoding.event_schema import Envelope

_SHOWN_CHARS = 60
_DOUBLE_MAX = int(sys.float_info.max)


class Refused(Exception):  # noqa: N818
    """An event is not taken: `reason` is counted, `str()` tells a person what is wrong."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def shown(value: object) -> str:
    """A value as a message can hold it.

    >>> shown("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    """
    text = repr(value[: _SHOWN_CHARS + 1]) if isinstance(value, str) else reprlib.repr(value)
    return text if len(text) <= _SHOWN_CHARS + 1 else text[: _SHOWN_CHARS - 2] + "..."


def checked(draft: Mapping[str, object]) -> Envelope:
    """The event that a mapping with the public schema's field names is.

    Raises
    ------
    Refused
        With the first thing that is wrong with it, in the order of the schema's fields.

    Examples
    --------
    >>> checked({"event_type": "metric", "symbol": "X", "value": 1}).symbol
    'X'
    >>> checked({"event_type": "metric", "symbol": "X", "value": 1e300})
    Traceback (most recent call last):
    streamer.decoding.refusals.Refused: value: 1e+300 is not in [-1e+100, 1e+100]
    """
    try:
        return EVENT.validate_python(draft)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    raise _refusal(first)


_WRONG = MappingProxyType(
    {
        "float_type": "is not a number",
        "int_type": "is not a whole number",
        "string_type": "is not a text",
    }
)
_BEYOND = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})


def _refusal(error: ErrorDetails) -> Refused:
    kind, value = error["type"], error["input"]
    name = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "union_tag_invalid":
        return Refused(Reason.UNKNOWN_KIND, f"event_type: {_tag(value)} is no kind of event")
    if kind == "union_tag_not_found":
        return Refused(Reason.MISSING_FIELD, "event_type is missing")
    if kind == "missing" or value is None:
        return missing(name)
    if kind == "string_too_short":
        return Refused(Reason.NO_SYMBOL if name == "symbol" else Reason.NO_VENUE, f"{name} is empty")
    if kind == "string_too_long":
        return too_long(name)
    if kind == "unprintable":
        return unprintable(name)
    if kind == "finite_number" or _beyond_double(value):
        return Refused(Reason.NOT_FINITE, f"{name}: {shown(value)} is not a finite number")
    if kind in _BEYOND:
        bounds = FIELDS[name].bounds if name in FIELDS else f"[0, {TIME_MAX_NS}]"
        return Refused(Reason.OUT_OF_BOUNDS, f"{name}: {shown(value)} is not in {bounds}")
    if kind == "literal_error" and isinstance(value, str):
        members = ", ".join(FIELDS[name].members)
        return Refused(Reason.UNKNOWN_VALUE, f"{name}: {shown(value)} is none of {members}")
    return Refused(Reason.WRONG_TYPE, f"{name}: {shown(value)} {_WRONG.get(kind, 'is not a text')}")


def _beyond_double(value: object) -> bool:
    """Among what is refused as no number: an infinity, or a whole number that no double holds."""
    if isinstance(value, float):
        return not isfinite(value)
    return isinstance(value, int) and abs(value) > _DOUBLE_MAX


def _tag(value: object) -> str:
    return shown(value.get("event_type")) if isinstance(value, dict) else shown(value)


def missing(name: str) -> Refused:
    """A field that must be there is not.

    >>> missing("symbol").reason.value, str(missing("price"))
    ('no_symbol', 'price is missing')
    """
    return Refused(Reason.NO_SYMBOL if name == "symbol" else Reason.MISSING_FIELD, f"{name} is missing")


def too_long(name: str) -> Refused:
    """A text is longer than the schema allows."""
    return Refused(Reason.OUT_OF_BOUNDS, f"{name} is longer than {TEXT_MAX_CHARS} characters")


def unprintable(name: str) -> Refused:
    """A name would garble a terminal or a message."""
    return Refused(Reason.OUT_OF_BOUNDS, f"{name} has characters that cannot be printed")
