"""Skips values that are not requested, checking that they are valid."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.json_numbers import after_number
from streamer.decoding.json.json_strings import QUOTE, after_blanks, text_end
from streamer.decoding.json.nested_lists import after_levels, begins_levels
from streamer.decoding.json.wide_loads import byte_at, word_at

OBJECT, OBJECT_END, LIST, LIST_END = (ord(character) for character in "{}[]")
COMMA, COLON, MINUS = (ord(character) for character in ",:-")
FALSE, TRUE, NULL = 0, 1, 2

_DEEPEST = 60
U = np.uint64
_FOUR, _FIVE = U((1 << 32) - 1), U((1 << 40) - 1)
_FALSE, _TRUE, _NULL = (U(int.from_bytes(word, "little")) for word in (b"false", b"true", b"null"))


@kernel(error_model="numpy", forceinline=True)
def begins_number(byte):
    """Whether a number can start with this byte."""
    return byte == MINUS or (byte >= ord("0") and byte <= ord("9"))


@kernel(error_model="numpy", forceinline=True)
def literal_at(at):
    """The end of `false`, `true` or `null`, and which it is; -1 for anything else."""
    word = word_at(at)
    if word & _FOUR == _TRUE:
        return at + 4, TRUE
    if word & _FIVE == _FALSE:
        return at + 5, FALSE
    if word & _FOUR == _NULL:
        return at + 4, NULL
    return -1, NULL


@kernel(error_model="numpy")
def after_value(at, end):
    """The end of a value of any type; -1 if it is not plainly valid."""
    byte = byte_at(at)
    if begins_levels(at):
        stop = after_levels(at, end)
        if stop >= 0:
            return stop
    if byte == OBJECT or byte == LIST:
        return _after_nested(at, end)
    return after_scalar(at, end, byte)


@kernel(error_model="numpy")
def after_scalar(at, end, byte):
    """The same for a value that is neither an object nor a list; `byte` is its first byte."""
    if byte == QUOTE:
        at, _ = text_end(at + 1, end)
        return at + 1 if at >= 0 else -1
    if begins_number(byte):
        return after_number(at, end)
    at, _ = literal_at(at)
    return at


@kernel(error_model="numpy")
def _after_nested(at, end):
    """The end of an object or a list. One bit for each open one says whether it is an object."""
    objects = U(0)
    depth = 0
    while True:
        byte = byte_at(at)
        if byte == OBJECT or byte == LIST:
            if depth == _DEEPEST:
                return -1
            depth += 1
            objects = objects << U(1) | U(byte == OBJECT)
            at = after_blanks(at + 1, end)
            if at >= end:
                return -1
            if byte_at(at) != (OBJECT_END if byte == OBJECT else LIST_END):
                if byte == OBJECT:
                    at = _after_key(at, end)
                    if at < 0:
                        return -1
                continue
        else:
            at = after_scalar(at, end, byte)
            if at < 0:
                return -1
        while True:  # after a value, or inside an empty object or list
            at = after_blanks(at, end)
            if at >= end:
                return -1
            byte = byte_at(at)
            at += 1
            if byte == COMMA:
                break
            if byte != (OBJECT_END if objects & U(1) else LIST_END):
                return -1
            objects >>= U(1)
            depth -= 1
            if depth == 0:
                return at
        at = after_blanks(at, end)
        if objects & U(1):
            at = _after_key(at, end)
        if at < 0 or at >= end:
            return -1


@kernel(error_model="numpy")
def _after_key(at, end):
    """The start of the value after a key and its colon; -1 if there is none."""
    if at >= end or byte_at(at) != QUOTE:
        return -1
    at, _ = text_end(at + 1, end)
    if at < 0:
        return -1
    return after_colon(at + 1, end)


@kernel(error_model="numpy", forceinline=True)
def after_colon(at, end):
    """The start of the value after a colon; -1 if there is none."""
    at = after_blanks(at, end)
    if at >= end or byte_at(at) != COLON:
        return -1
    at = after_blanks(at + 1, end)
    return at if at < end else -1
