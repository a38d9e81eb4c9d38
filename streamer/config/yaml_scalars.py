"""The values of unquoted YAML scalars: the core schema of YAML 1.2, without surprises.

`on`, `off`, `yes`, `no`, dates, `1:30`, `010`, `0o10`, `0x10` and `1_000` are strings. See
https://yaml.org/spec/1.2.2/ section 10.3.2 (without its octal and hexadecimal numbers).
"""

from __future__ import annotations

import math
import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_INT = 2**63 - 1


class ScalarError(ValueError):
    """A scalar that is not allowed; `str()` says why."""


def resolve(text: str) -> bool | int | float | str | None:
    """The value of an unquoted scalar.

    Raises
    ------
    ScalarError
        For numbers that are not finite or too large.

    Examples
    --------
    >>> [resolve(text) for text in ("on", "5", "-1.5e3", "true", "", "1_000", "2024-08-08")]
    ['on', 5, -1500.0, True, None, '1_000', '2024-08-08']
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        if len(text) > 20 or abs(int(text)) > _MAX_INT:
            raise ScalarError("this number is too large")
        return int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise ScalarError("this number is too large")
        return value
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(f"{text} is not a finite number")
    return check_text(text)


def check_text(text: str) -> str:
    """`text` itself, if it holds only characters that a setting may have.

    Raises
    ------
    ScalarError
        For control characters other than tab and line break, and for half of a surrogate pair.
    """
    for char in text:
        code = ord(char)
        if (code < 0x20 and char not in "\t\n") or code == 0x7F or 0xD800 <= code <= 0xDFFF:
            raise ScalarError(f"this text holds the character U+{code:04X}, which cannot be used")
    return text
