"""Checks of a record's bytes in one pass, for parsers that could not bear what is found."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.json_strings import BACKSLASH, QUOTE

_OPENS, _OPENS_OBJECT, _CLOSES, _CLOSES_OBJECT = (ord(character) for character in "[{]}")
_U, _A, _F, _LOWER = ord("u"), ord("a"), ord("f"), 0x20
_ESCAPE_SIZE = len(r"\u0000")


def nested_deeper(value: bytes, most: int) -> bool:
    r"""Whether brackets outside of strings are nested more than `most` deep.

    In bytes that are not JSON, only what precedes the first mistake counts.

    >>> nested_deeper(b'[[{"a": "[[["}]]', 3), nested_deeper(b'[[{"a": []}]]', 3)
    (False, True)
    >>> nested_deeper(b'[["' + b'\\"[' * 9, 3)
    False
    """
    return bool(_nested_deeper(np.frombuffer(value, np.uint8), most))


def has_lone_surrogate(value: bytes) -> bool:
    r"""Whether a string of a JSON document has half of a surrogate pair, which is no text.

    >>> has_lone_surrogate(rb'["\ud83d\ude80", "\\ud800"]'), has_lone_surrogate(rb'["\ude80\ud83d"]')
    (False, True)
    """
    return bool(_has_lone_surrogate(np.frombuffer(value, np.uint8)))


@kernel
def _nested_deeper(text, most):
    depth, at, end = 0, 0, text.size
    while at < end:
        byte = text[at]
        if byte == QUOTE:
            at += 1
            while at < end and text[at] != QUOTE:
                at += 2 if text[at] == BACKSLASH else 1
        elif byte == _OPENS or byte == _OPENS_OBJECT:
            depth += 1
            if depth > most:
                return True
        elif byte == _CLOSES or byte == _CLOSES_OBJECT:
            depth -= 1
        at += 1
    return False


@kernel
def _has_lone_surrogate(text):
    at, end = 0, text.size
    while at < end:
        if text[at] != BACKSLASH:
            at += 1
            continue
        unit = _escaped_unit(text, at)
        if unit < 0xD800 or unit > 0xDFFF:
            at += 2
            continue
        if unit > 0xDBFF:
            return True
        second = _escaped_unit(text, at + _ESCAPE_SIZE)
        if second < 0xDC00 or second > 0xDFFF:
            return True
        at += 2 * _ESCAPE_SIZE
    return False


@kernel
def _escaped_unit(text, at):
    r"""The number in an escape such as \u00e9; -1 where there is none."""
    if at + _ESCAPE_SIZE > text.size or text[at] != BACKSLASH or text[at + 1] != _U:
        return -1
    unit = 0
    for place in range(at + 2, at + _ESCAPE_SIZE):
        digit = int(text[place])
        letter = digit | _LOWER
        if letter >= _A and letter <= _F:
            digit = letter - _A + 10
        elif digit >= ord("0") and digit <= ord("9"):
            digit -= ord("0")
        else:
            return -1
        unit = unit << 4 | digit
    return unit
