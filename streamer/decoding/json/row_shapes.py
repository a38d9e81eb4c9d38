"""Reads whole rows of a known shape at once.

A row without its values (scalars, and levels) is its shape, learned from a row that was fully parsed. In
another row, the colons after keys, `":`, give the position of each part of the shape; if all parts match, the
row is as valid as the first one except for its values, which lie between the parts.

Shapes are looked up by the row's number of keys and quotes, two per hash; rows of unknown shape are fully
parsed.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.json_strings import QUOTE, text_end
from streamer.decoding.json.nested_lists import after_levels, begins_levels
from streamer.decoding.json.shape_layout import (
    BARE,
    BEFORE,
    BIT,
    BLOCK,
    COLON,
    COLONS,
    FIRST_PART,
    FOUND,
    HOW,
    KEYS,
    LEARNED,
    LEVELS,
    MASK,
    MOST_BYTES,
    OTHER_BITS,
    OUT,
    PART_WIDTH,
    PLACES,
    QUOTED,
    QUOTES,
    READ_AS,
    SIZE,
    SPANS,
    STEP,
    VALUES,
)
from streamer.decoding.json.unwanted_values import after_scalar
from streamer.decoding.json.wide_loads import (
    byte_at,
    equal_bytes,
    marks_of_text,
    number_at,
    ones,
    put_word,
    trailing_zeros,
)

U = np.uint64

_NONE, _ONE, _ALL = U(0), U(1), U((1 << 64) - 1)


@kernel(error_model="numpy")
def no_shapes(memory):
    """Forget all shapes."""
    for place in range(LEARNED + 1):
        put_word(memory + 8 * place, _NONE)


@kernel(error_model="numpy", forceinline=True)
def count_keys(at, end, memory):
    """The number of keys and quotes before a row's first levels, and the position of these, or of its end.

    Writes the colons' positions. A row that can have no shape has -1 keys. In any other, all bytes up to that
    position are ASCII without control characters and backslashes, so each string ends at a quote.
    """
    colons = memory + 8 * COLONS
    keys, quotes, before, opened = 0, 0, _NONE, _NONE
    head = min(end, at + MOST_BYTES)
    while at < head:
        quote, colon, opens, bad = marks_of_text(at)
        inside = _ALL >> U(max(BLOCK - (head - at), 0))
        twice = opens & (opens << _ONE | opened) & inside
        opened = opens >> U(BLOCK - 1)
        if twice != _NONE:
            head = at + trailing_zeros(twice) - 1
            inside = (twice & (_NONE - twice)) - _ONE
        if bad & inside != _NONE:
            return -1, 0, head
        quote &= inside
        colon &= inside & (quote << _ONE | before)
        before = quote >> U(BLOCK - 1)
        quotes += ones(quote)
        to, keys = colons + 8 * keys, keys + ones(colon)
        while True:
            for _ in range(4):  # unconditionally: surplus entries are ignored
                put_word(to, U(at + trailing_zeros(colon)))
                colon &= colon - _ONE
                to += 8
            if colon == _NONE:
                break
        at += BLOCK
    return keys if head < end or at >= end else -1, quotes, head


@kernel(error_model="numpy", forceinline=True)
def place_of(keys, quotes, memory):
    """The address of the two candidate shapes for these numbers of keys and quotes."""
    return memory + 16 * ((keys * 5 + (quotes >> 1)) & (PLACES - 1))


@kernel(error_model="numpy", forceinline=True)
def shape_of(at, end, keys, quotes, head, memory):
    """The known shape of a row, 0 if it has none; writes the positions of its values."""
    place = place_of(keys, quotes, memory)
    shape = number_at(place, 0)
    if _fits(at, end, keys, quotes, head, shape, memory):
        return shape
    other = number_at(place, 1)
    if _fits(at, end, keys, quotes, head, other, memory):
        put_word(place, U(other))
        put_word(place + 8, U(shape))
        return other
    return 0


@kernel(error_model="numpy", forceinline=True)
def _fits(at, end, keys, quotes, head, shape, memory):
    if shape == 0 or number_at(shape, KEYS) != keys or number_at(shape, QUOTES) != quotes:
        return False
    colons, spans = memory + 8 * COLONS, memory + 8 * SPANS
    part, found = shape + 8 * FIRST_PART, number_at(shape, FOUND)
    stop, more = part + 8 * PART_WIDTH * found, number_at(shape, VALUES) - found
    value = start = at
    while part != stop:
        start = number_at(colons, number_at(part, COLON)) - number_at(part, BEFORE)
        if start < value or not _stands(start, part):
            return False
        put_word(spans, U(start))
        value = start + number_at(part, SIZE)
        put_word(spans + 8, U(value))
        spans += 16
        part += 8 * PART_WIDTH
    if number_at(memory, SPANS) != at:
        return False
    if head != end:
        return (
            ends_in_levels(shape, found)
            and value == head
            and _rest_stands(value, end, part - 8 * PART_WIDTH, more + 1, spans)
        )
    if ends_in_levels(shape, found):
        return False
    start = end - number_at(part, SIZE)
    put_word(spans, U(start))
    return start >= value and _stands(start, part)


@kernel(error_model="numpy")
def _rest_stands(at, end, part, values, spans):
    """Whether a shape's levels and all later parts match, each where the value before it ends."""
    for _ in range(values):
        how = number_at(part, HOW)
        if how == LEVELS:
            at = after_levels(at, end) if begins_levels(at) else -1
        elif how == QUOTED:
            at, plain = text_end(at, end)
            at = at if plain else -1
        else:  # a string there means another shape
            at = after_scalar(at, end, byte_at(at)) if byte_at(at) != QUOTE else -1
        part += 8 * PART_WIDTH
        size = number_at(part, SIZE)
        if at < 0 or end - at < size or not _stands(at, part):
            return False
        put_word(spans, U(at))
        at += size
        put_word(spans + 8, U(at))
        spans += 16
    return at == end


@kernel(error_model="numpy", forceinline=True)
def _stands(at, part):
    mask = U(number_at(part, MASK))
    return equal_bytes(at, part) & mask == mask


@kernel(error_model="numpy", forceinline=True)
def values_of(shape):
    """A shape's number of values."""
    return number_at(shape, VALUES)


@kernel(error_model="numpy", forceinline=True)
def other_in(shape):
    """The bits of fields that are present with another type in each row of a shape."""
    return U(number_at(shape, OTHER_BITS))


@kernel(error_model="numpy", forceinline=True)
def value_in(memory, value):
    """Start and end of a value of the row just matched, without its quotes."""
    return number_at(memory, SPANS + 2 * value + 1), number_at(memory, SPANS + 2 * value + 2)


@kernel(error_model="numpy", forceinline=True)
def reading_of(shape, value):
    """A value's requested type, whether it is bare, whether it is quoted, its bit, its column and step."""
    part = shape + 8 * (FIRST_PART + value * PART_WIDTH)
    return (
        number_at(part, READ_AS),
        number_at(part, HOW) == BARE,
        number_at(part, HOW) == QUOTED,
        U(number_at(part, BIT)),
        number_at(part, OUT),
        number_at(part, STEP),
    )


@kernel(error_model="numpy", forceinline=True)
def ends_in_levels(shape, found):
    """Whether the last value located by colons is levels."""
    return found != 0 and number_at(shape + 8 * (FIRST_PART + (found - 1) * PART_WIDTH), HOW) == LEVELS
