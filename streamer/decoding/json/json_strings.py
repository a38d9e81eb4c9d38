"""JSON strings and whitespace: where they end, and whether they are valid."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

from detectors.kernels import kernel
from streamer.decoding.json.wide_loads import byte_at, ends_of_text, trailing_zeros

QUOTE, BACKSLASH = ord('"'), ord("\\")
_BLANK, _TAB, _NEWLINE, _RETURN = ord(" "), ord("\t"), ord("\n"), ord("\r")
_LOW_U = ord("u")
_SIMPLE_ESCAPES = sum(1 << ord(character) - 64 for character in "\\bfnrt")  # bit i: character 64 + i


@kernel(error_model="numpy", forceinline=True)
def after_blanks(at, end):
    """The first byte that is not JSON whitespace; `end` if there is none before it."""
    while at < end:
        byte = byte_at(at)
        if byte > _BLANK or not (byte == _BLANK or byte == _NEWLINE or byte == _RETURN or byte == _TAB):
            break
        at += 1
    return at


@kernel(error_model="numpy", forceinline=True)
def text_end(at, end):
    """The closing quote of a string whose content starts at `at`, and whether the string has no escapes.

    The position is -1 if there is no valid string before `end`, or its escapes need the slow path.
    """
    while at < end:
        ends = ends_of_text(at)
        if ends == 0:
            at += 16
            continue
        at += trailing_zeros(ends)
        if at < end and byte_at(at) == QUOTE:
            return at, True
        return _end_of_non_ascii(at, end)
    return -1, True


@kernel(error_model="numpy")
def _end_of_non_ascii(at, end):
    """Continue from the first byte that is not plain ASCII."""
    plain = True
    while at < end:
        ends = ends_of_text(at)
        if ends == 0:
            at += 16
            continue
        at += trailing_zeros(ends)
        if at >= end:
            break
        byte = byte_at(at)
        if byte == QUOTE:
            return at, plain
        if byte == BACKSLASH:
            plain = False
            at = _after_escape(at, end)
        elif byte >= 0x80:
            at = _after_character(at, end)
        else:
            break
        if at < 0:
            break
    return -1, plain


@kernel(error_model="numpy")
def _after_escape(at, end):
    """After an escape; -1 if it is invalid, and for surrogates, of which only pairs would be valid."""
    byte = byte_at(at + 1)
    if byte == QUOTE or byte == ord("/"):
        return at + 2
    if byte < 64 or byte > 127:
        return -1
    if byte != _LOW_U:
        return at + 2 if _SIMPLE_ESCAPES >> (byte - 64) & 1 else -1
    code = 0
    for place in range(at + 2, at + 6):
        if place >= end:
            return -1
        digit = byte_at(place)
        if digit >= ord("a") and digit <= ord("f"):
            digit -= ord("a") - 10
        elif digit >= ord("A") and digit <= ord("F"):
            digit -= ord("A") - 10
        elif digit >= ord("0") and digit <= ord("9"):
            digit -= ord("0")
        else:
            return -1
        code = code << 4 | digit
    return -1 if code >= 0xD800 and code <= 0xDFFF else at + 6


@kernel(error_model="numpy")
def _after_character(at, end):
    """After a multi-byte character; -1 if it is not UTF-8 (Unicode 15, table 3-7)."""
    first = byte_at(at)
    if first < 0xC2 or first > 0xF4:
        return -1
    more = 1 if first < 0xE0 else 2 if first < 0xF0 else 3
    if at + more >= end:
        return -1
    lowest, highest = 0x80, 0xBF
    if first == 0xE0:
        lowest = 0xA0
    elif first == 0xED:
        highest = 0x9F
    elif first == 0xF0:
        lowest = 0x90
    elif first == 0xF4:
        highest = 0x8F
    for place in range(at + 1, at + 1 + more):
        byte = byte_at(place)
        if byte < lowest or byte > highest:
            return -1
        lowest, highest = 0x80, 0xBF
    return at + 1 + more
