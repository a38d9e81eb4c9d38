"""Whole rows of the same make, read at once.

What is left of a row without its values (scalars all of them) is its shape. It is learned from a row that was
read by the book. The colons behind keys, `":`, say where in another row each part of the shape must stand; if
all of them do, the row is as valid as the first one but for its values, and these lie in between.

Shapes are looked up by how many keys and quotes a row has, two for each sum; a row of other shape is read by
the book.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from streamer.scan.layout import COLUMN, FIELD_WIDTH, KIND, UNWANTED
from streamer.scan.levels import after_levels, begins_levels
from streamer.scan.skipping import LIST, OBJECT
from streamer.scan.texts import QUOTE
from streamer.scan.words import (
    LOW_BYTES,
    byte_at,
    equal_bytes,
    marks_of_text,
    number_at,
    ones,
    put_word,
    trailing_zeros,
    word_at,
)

U = np.uint64

_BLOCK = 64
_MOST_BYTES = 8 * _BLOCK
"""A row that is longer up to its end or its first levels has no shape here."""
_MOST_VALUES = 32
_PLACES = 64
_SHAPES = 24
_NONE, _ONE, _ALL = U(0), U(1), U((1 << 64) - 1)

# what stands before a value: its words, a bit for each byte, which colon is its last, that colon's place in
# it, its size; and of the value: the type that is wanted, whether quotes enclose it, its field's bit, how far
# its column is from the first, and a text's second one from that
_WORDS = 4
_MASK, _COLON, _BEFORE, _SIZE, _KIND, _QUOTED, _BIT, _OUT, _STEP, _WIDTH = range(_WORDS, _WORDS + 10)
# a shape: how many keys and quotes before any levels, how many values, how many levels behind them, the bits
# of fields that want something else where levels are; from `_FIRST` on what stands before each of both, and
# before the end
_KEYS, _QUOTES, _VALUES, _LEVELS, _OTHER, _FIRST = range(6)
_SHAPE = _FIRST + (_MOST_VALUES + 1) * _WIDTH

# the memory: by place two shapes; how many are learned; of a row its colons, the values as they were read by
# the book (how many, and from where to where, to which target), and as they lie in a shape; the shapes
_LEARNED = 2 * _PLACES
_COLONS = _LEARNED + 1
_READ = _COLONS + _MOST_BYTES // 2 + 8
_SPANS = _READ + 1 + 3 * _MOST_VALUES
_STORE = _SPANS + 2 * _MOST_VALUES + 2

SHAPES_SIZE = _STORE + _SHAPES * _SHAPE
"""How many int64 all this takes."""


@njit(error_model="numpy")
def no_shapes(memory):
    """Forget all."""
    for place in range(_LEARNED + 1):
        put_word(memory + 8 * place, _NONE)


@njit(error_model="numpy", forceinline=True)
def count_keys(at, end, memory):
    """How many keys and quotes a row has before its first levels, and where these, or its end, are.

    Where the colons are is written. For a row without shape it is -1 keys. In any other no byte is a control
    character, a backslash or no ASCII up to there, so each string ends at a quote.
    """
    colons = memory + 8 * _COLONS
    keys, quotes, before, opened = 0, 0, _NONE, _NONE
    head = min(end, at + _MOST_BYTES)
    while at < head:
        quote, colon, opens, bad = marks_of_text(at)
        inside = _ALL >> U(max(_BLOCK - (head - at), 0))
        twice = opens & (opens << _ONE | opened) & inside
        opened = opens >> U(_BLOCK - 1)
        if twice != _NONE:
            head = at + trailing_zeros(twice) - 1
            inside = (twice & (_NONE - twice)) - _ONE
        if bad & inside != _NONE:
            return -1, 0, head
        quote &= inside
        colon &= inside & (quote << _ONE | before)
        before = quote >> U(_BLOCK - 1)
        quotes += ones(quote)
        to, keys = colons + 8 * keys, keys + ones(colon)
        while True:
            for _ in range(4):  # without asking which of them are there
                put_word(to, U(at + trailing_zeros(colon)))
                colon &= colon - _ONE
                to += 8
            if colon == _NONE:
                break
        at += _BLOCK
    return keys if head < end or at >= end else -1, quotes, head


@njit(error_model="numpy", forceinline=True)
def _place(keys, quotes, memory):
    return memory + 16 * ((keys * 5 + (quotes >> 1)) & (_PLACES - 1))


@njit(error_model="numpy", forceinline=True)
def shape_of(at, end, keys, quotes, head, memory):
    """The shape of a row, 0 if it has none that is learned; where its values lie is written."""
    place = _place(keys, quotes, memory)
    shape = number_at(place, 0)
    if _fits(at, end, keys, quotes, head, shape, memory):
        return shape
    other = number_at(place, 1)
    if _fits(at, end, keys, quotes, head, other, memory):
        put_word(place, U(other))
        put_word(place + 8, U(shape))
        return other
    return 0


@njit(error_model="numpy", forceinline=True)
def _fits(at, end, keys, quotes, head, shape, memory):
    if shape == 0 or number_at(shape, _KEYS) != keys or number_at(shape, _QUOTES) != quotes:
        return False
    colons, spans = memory + 8 * _COLONS, memory + 8 * _SPANS
    part, levels = shape + 8 * _FIRST, number_at(shape, _LEVELS)
    behind = part + 8 * _WIDTH * (number_at(shape, _VALUES) + (levels != 0))
    value = start = at
    while part != behind:
        start = number_at(colons, number_at(part, _COLON)) - number_at(part, _BEFORE)
        if start < value or not _stands(start, part):
            return False
        put_word(spans, U(start))
        value = start + number_at(part, _SIZE)
        put_word(spans + 8, U(value))
        spans += 16
        part += 8 * _WIDTH
    if (levels == 0) != (head == end):
        return False
    if levels != 0:
        return number_at(memory, _SPANS) == at and value == head and _levels_stand(value, end, part, levels)
    start = end - number_at(part, _SIZE)
    put_word(spans, U(start))
    return number_at(memory, _SPANS) == at and start >= value and _stands(start, part)


@njit(error_model="numpy")
def _levels_stand(at, end, part, levels):
    """Whether levels stand there, the first part of a shape behind each of them, and then the row ends."""
    for _ in range(levels):
        at = after_levels(at, end) if begins_levels(at) else -1
        if at < 0 or end - at < number_at(part, _SIZE) or not _stands(at, part):
            return False
        at += number_at(part, _SIZE)
        part += 8 * _WIDTH
    return at == end


@njit(error_model="numpy", forceinline=True)
def _stands(at, part):
    mask = U(number_at(part, _MASK))
    return equal_bytes(at, part) & mask == mask


@njit(error_model="numpy", forceinline=True)
def values_of(shape):
    """How many values a shape has."""
    return number_at(shape, _VALUES)


@njit(error_model="numpy", forceinline=True)
def other_in(shape):
    """The bits of fields that are there with another type in each row of a shape."""
    return U(number_at(shape, _OTHER))


@njit(error_model="numpy", forceinline=True)
def value_in(memory, value):
    """From where to where a value of the row that has a shape lies, without its quotes."""
    return number_at(memory, _SPANS + 2 * value + 1), number_at(memory, _SPANS + 2 * value + 2)


@njit(error_model="numpy", forceinline=True)
def reading_of(shape, value):
    """Of a value: the type that is wanted, whether it has quotes, its field's bit, its column and step."""
    part = shape + 8 * (_FIRST + value * _WIDTH)
    return (
        number_at(part, _KIND),
        number_at(part, _QUOTED) != 0,
        U(number_at(part, _BIT)),
        number_at(part, _OUT),
        number_at(part, _STEP),
    )


@njit(error_model="numpy", forceinline=True)
def nothing_read(memory):
    """Before the values of a row that is read by the book."""
    put_word(memory + 8 * _READ, _NONE)


@njit(error_model="numpy", forceinline=True)
def value_read(at, end, target, memory):
    """A value of such a row, with its quotes."""
    count = number_at(memory, _READ)
    if count < _MOST_VALUES:
        to = memory + 8 * (_READ + 1 + 3 * count)
        put_word(to, U(at))
        put_word(to + 8, U(end))
        put_word(to + 16, U(target))
    put_word(memory + 8 * _READ, U(count + 1))


@njit(error_model="numpy")
def learn_shape(at, end, keys, quotes, head, fields, step, memory):
    """Keep the shape of a sound row that was read by the book, if it has one and there is room.

    Columns are `step` bytes apart.
    """
    learned, count = number_at(memory, _LEARNED), number_at(memory, _READ)
    if learned == _SHAPES or count > _MOST_VALUES:
        return
    shape = memory + 8 * (_STORE + learned * _SHAPE)
    part, colon, behind, levels, other = shape + 8 * _FIRST, 0, at, 0, _NONE
    for value in range(count):
        read = memory + 8 * (_READ + 1 + 3 * value)
        begin, value_end = number_at(read, 0), number_at(read, 1)
        first = byte_at(begin)
        if first == LIST:
            if not begins_levels(begin) or after_levels(begin, end) != value_end:
                return
            levels += 1
            if number_at(read, 2) != UNWANTED:
                other |= _ONE << U(number_at(read, 2))
        if first == OBJECT or (levels == 0 and begin > head) or (levels > 0 and first != LIST):
            return
        quoted = first == QUOTE
        begin, value_end = begin + quoted, value_end - quoted
        before = colon
        while colon < keys and number_at(memory, _COLONS + colon) < begin:
            if number_at(memory, _COLONS + colon) < behind:  # within a value
                return
            colon += 1
        if (colon == before and levels <= 1) or begin - behind > 8 * _WORDS:
            return
        _write(part, behind, begin)
        put_word(part + 8 * _COLON, U(colon - 1))
        put_word(part + 8 * _BEFORE, U(number_at(memory, _COLONS + colon - 1) - behind))
        _write_reading(part, number_at(read, 2), quoted, fields, step)
        behind = value_end
        if levels == 1 and begin != head:
            return
        part += 8 * _WIDTH
    if colon != keys or end - behind > 8 * _WORDS or (levels == 0 and head != end):
        return
    _write(part, behind, end)
    put_word(shape + 8 * _KEYS, U(keys))
    put_word(shape + 8 * _QUOTES, U(quotes))
    put_word(shape + 8 * _VALUES, U(count - levels))
    put_word(shape + 8 * _LEVELS, U(levels))
    put_word(shape + 8 * _OTHER, other)
    place = _place(keys, quotes, memory)
    put_word(place + 8, U(number_at(place, 0)))
    put_word(place, U(shape))
    put_word(memory + 8 * _LEARNED, U(learned + 1))


@njit(error_model="numpy")
def _write_reading(part, target, quoted, fields, step):
    kind, column = UNWANTED, 0
    if target != UNWANTED:
        kind = number_at(fields, target * FIELD_WIDTH + KIND)
        column = number_at(fields, target * FIELD_WIDTH + COLUMN)
    put_word(part + 8 * _KIND, U(kind))
    put_word(part + 8 * _QUOTED, U(quoted))
    put_word(part + 8 * _BIT, _ONE << U(max(target, 0)))
    put_word(part + 8 * _OUT, U(column * step))
    put_word(part + 8 * _STEP, U(step))


@njit(error_model="numpy")
def _write(part, begin, end):
    """Keep the bytes of a part."""
    size = end - begin
    for word in range(_WORDS):
        bytes_there = max(0, min(size - 8 * word, 8))
        put_word(part + 8 * word, word_at(begin + 8 * word) & LOW_BYTES[bytes_there])
    put_word(part + 8 * _MASK, U((1 << size) - 1))
    put_word(part + 8 * _SIZE, U(size))
