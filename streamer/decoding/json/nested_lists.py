"""Lists of lists of texts, such as the levels of a book, which are long and which nobody asks for.

64 bytes are looked at together, one bit for each: which stand in texts, and whether what stands before each
of the others may stand there. What has blanks or escapes is left to those who go byte by byte.
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
    """Whether lists of texts may begin here."""
    return word_at(at) & _THREE == _BEGINS


@kernel(error_model="numpy", forceinline=True)
def _in_texts(quotes):
    """A bit for each byte from an opening quote to before its closing one: how many quotes, modulo 2."""
    for distance in (1, 2, 4, 8, 16, 32):
        quotes ^= quotes << U(distance)
    return quotes


@kernel(error_model="numpy")
def after_levels(at, end):
    """Behind a list of lists of texts that `begins_levels`; -1 where it is not plain or not valid."""
    at += 1
    # of the byte before: it stands in a text; closes one; opens, or closes, an inner list; is a comma behind
    # a text, or behind a list, as if one stood before the first
    text, closing, opened, closed, after_text, after_list = _NONE, _NONE, _NONE, _NONE, _NONE, _ONE
    while at < end:
        quotes, opens, closes, commas, bad = marks_of_lists(at)
        texts = _in_texts(quotes) ^ (_NONE - text)
        outside = ~(texts | quotes)
        opens, closes, commas = opens & outside, closes & outside, commas & outside
        ends = quotes & ~texts
        behind_end, behind_list = ends << _ONE | closing, closes << _ONE | closed
        text_commas, list_commas = commas & behind_end, commas & behind_list
        # behind a comma at a wrong place nothing may stand, so nothing is asked of commas themselves
        may_begin = (opens | text_commas) << _ONE | opened | after_text
        wrong = (
            bad
            | outside & ~(opens | closes | commas)
            | quotes & texts & ~may_begin
            | opens & ~(list_commas << _ONE | after_list)
            | closes & ~(behind_end | behind_list)
        )
        last = closes & behind_list
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
