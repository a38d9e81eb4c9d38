"""Skips lists of lists of strings, such as the levels of an order book, which are long and not requested.

64 bytes are examined at once, one bit for each: which of them are inside strings, and whether each of the
others may follow the byte before it. Whitespace or escapes fall back to the byte-by-byte parser.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.wide_loads import marks_of_lists, trailing_zeros, word_at

U = np.uint64

_BLOCK = 64
_BEGINS, _THREE = U(int.from_bytes(b'[["', "little")), U((1 << 24) - 1)
_NONE, _ONE, _ALL, _LAST = U(0), U(1), U((1 << 64) - 1), U(63)


@kernel(error_model="numpy", forceinline=True)
def begins_levels(at):
    """Whether lists of strings may start here."""
    return word_at(at) & _THREE == _BEGINS


@kernel(error_model="numpy", forceinline=True)
def _in_texts(quotes):
    """A bit for each byte from an opening quote up to its closing one: the parity of the quotes so far."""
    for distance in (1, 2, 4, 8, 16, 32):
        quotes ^= quotes << U(distance)
    return quotes


@kernel(error_model="numpy")
def after_levels(at, end):
    """After a list of lists of strings that `begins_levels`; -1 if it is not plain or not valid."""
    at += 1
    # the previous byte: is in a string; closes one; opens, or closes, an inner list; is a comma after a
    # string, or after a list (as if one preceded the first)
    text, closing, opened, closed, after_text, after_list = _NONE, _NONE, _NONE, _NONE, _NONE, _ONE
    while at < end:
        quotes, opens, closes, commas, bad = marks_of_lists(at)
        texts = _in_texts(quotes) ^ (_NONE - text)
        outside = ~(texts | quotes)
        opens, closes, commas = opens & outside, closes & outside, commas & outside
        ends = quotes & ~texts
        after_end, after_closed = ends << _ONE | closing, closes << _ONE | closed
        text_commas, list_commas = commas & after_end, commas & after_closed
        # nothing may follow a misplaced comma, so commas themselves need no check
        may_begin = (opens | text_commas) << _ONE | opened | after_text
        wrong = (
            bad
            | outside & ~(opens | closes | commas)
            | quotes & texts & ~may_begin
            | opens & ~(list_commas << _ONE | after_list)
            | closes & ~(after_end | after_closed)
        )
        last = closes & after_closed
        if last != _NONE:
            size = trailing_zeros(last)
            if wrong & ((_ONE << U(size)) - _ONE) != _NONE or at + size >= end:
                return -1
            return at + size + 1
        if wrong != _NONE:
            return -1
        text, closing, opened, closed = texts >> _LAST, ends >> _LAST, opens >> _LAST, closes >> _LAST
        after_text, after_list = text_commas >> _LAST, list_commas >> _LAST
        at += _BLOCK
    return -1
