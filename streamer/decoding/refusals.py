"""Why an event is refused: a reason to count, and a message to read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import isfinite, log10
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import FIELDS, TEXT_MAX_CHARS, TIME_MAX_NS
from streamer.decoding.event_schema import EVENT

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from streamer.decoding.event_schema import Envelope

_T = TypeVar("_T")

_SHOWN_CHARS = 60
_SHOWN_ERROR_CHARS = 200
_DIGITS_PER_BIT = log10(2)
_DOUBLE_MAX = int(sys.float_info.max)


class Refusal(Exception):  # noqa: N818
    """An event is refused: `reason` is counted, `str()` says what is wrong.

    Parameters
    ----------
    reason, detail
        What is counted, and what is said.
    finer
        Of a time that is too late: units that it may be in, and its ns since 1970 in each.
    """

    def __init__(self, reason: Reason, detail: str, finer: tuple[tuple[str, int], ...] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.finer = finer


def brief(value: object) -> str:
    """A value's text for a message, shortened.

    >>> brief("x" * 100)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    """
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{_part(key)}: {_part(part)}" for key, part in _first(value.items())) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(_part(part) for part in _first(value)) + "]"
    else:
        text = _part(value)
    return text if len(text) <= _SHOWN_CHARS + 1 else text[: _SHOWN_CHARS - 2] + "..."


def _first(parts: Iterable[_T]) -> Iterator[_T]:
    """As many parts as can be shown; the rest is not looked at."""
    return islice(parts, _SHOWN_CHARS)


def _part(value: object) -> str:
    if isinstance(value, str):
        return repr(value[: _SHOWN_CHARS + 1])
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, list):
        return "[...]" if value else "[]"
    if isinstance(value, int) and abs(value) > _DOUBLE_MAX:
        return f"a number of about {int(value.bit_length() * _DIGITS_PER_BIT):,} digits"
    return repr(value)


def decoder_error(error: Exception) -> Refusal:
    """The refusal of a record or event on which the decoder failed: it names the exception.

    >>> str(decoder_error(OverflowError("int too large to convert to float")))
    'OverflowError: int too large to convert to float'
    """
    try:
        text = " ".join(str(error)[:_SHOWN_ERROR_CHARS].split())
    except Exception:  # noqa: BLE001 (an exception that cannot say what is wrong)
        text = ""
    kind = type(error).__name__[:_SHOWN_CHARS]
    return Refusal(Reason.DECODER_ERROR, f"{kind}: {text}" if text else kind)


def validated(draft: Mapping[str, object]) -> Envelope:
    """Validate a mapping with the public schema's field names, and return its event.

    Raises
    ------
    Refusal
        With the first fault, in the order of the schema's fields.

    Examples
    --------
    >>> validated({"event_type": "metric", "symbol": "X", "value": 1}).symbol
    'X'
    >>> validated({"event_type": "metric", "symbol": "X", "value": 1e300})
    Traceback (most recent call last):
    streamer.decoding.refusals.Refusal: value: 1e+300 is not in [-1e+100, 1e+100]
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


def _refusal(error: ErrorDetails) -> Refusal:
    kind, value = error["type"], error["input"]
    name = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "union_tag_invalid":
        return Refusal(Reason.UNKNOWN_KIND, f"event_type: {_tag(value)} is no kind of event")
    if kind == "union_tag_not_found":
        return Refusal(Reason.MISSING_FIELD, "event_type is missing")
    if kind == "missing" or value is None:
        return missing(name)
    if kind == "string_too_short":
        return Refusal(Reason.NO_SYMBOL if name == "symbol" else Reason.NO_VENUE, f"{name} is empty")
    if kind == "string_too_long":
        return too_long(name)
    if kind == "unprintable":
        return unprintable(name)
    if kind == "finite_number" or _beyond_double(value):
        return Refusal(Reason.NOT_FINITE, f"{name}: {brief(value)} is not a finite number")
    if kind in _BEYOND:
        bounds = FIELDS[name].bounds if name in FIELDS else f"[0, {TIME_MAX_NS}]"
        return Refusal(Reason.OUT_OF_BOUNDS, f"{name}: {brief(value)} is not in {bounds}")
    if kind == "literal_error" and isinstance(value, str):
        members = ", ".join(FIELDS[name].members)
        return Refusal(Reason.UNKNOWN_VALUE, f"{name}: {brief(value)} is none of {members}")
    return Refusal(Reason.WRONG_TYPE, f"{name}: {brief(value)} {_WRONG.get(kind, 'is not a text')}")


def _beyond_double(value: object) -> bool:
    """Whether a refused number is infinite, or an integer beyond a double's range."""
    if isinstance(value, float):
        return not isfinite(value)
    return isinstance(value, int) and abs(value) > _DOUBLE_MAX


def _tag(value: object) -> str:
    return brief(value.get("event_type")) if isinstance(value, dict) else brief(value)


def missing(name: str) -> Refusal:
    """The refusal of an event without a required field.

    >>> missing("symbol").reason.value, str(missing("price"))
    ('no_symbol', 'price is missing')
    """
    return Refusal(Reason.NO_SYMBOL if name == "symbol" else Reason.MISSING_FIELD, f"{name} is missing")


def too_long(name: str) -> Refusal:
    """The refusal of a text that is longer than the schema allows."""
    return Refusal(Reason.OUT_OF_BOUNDS, f"{name} is longer than {TEXT_MAX_CHARS} characters")


def unprintable(name: str) -> Refusal:
    """The refusal of a name that would garble a terminal or a message."""
    return Refusal(Reason.OUT_OF_BOUNDS, f"{name} has characters that cannot be printed")
