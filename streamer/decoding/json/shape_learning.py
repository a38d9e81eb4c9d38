"""Learns the shape of a fully parsed row; see `streamer.decoding.json.row_shapes`."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"
# ruff: noqa: PLR1714, SIM109 (kernels compare one by one)

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.json_strings import QUOTE
from streamer.decoding.json.nested_lists import after_levels, begins_levels
from streamer.decoding.json.plan_layout import COLUMN, FIELD_WIDTH, KIND, UNWANTED
from streamer.decoding.json.row_shapes import ends_in_levels, place_of
from streamer.decoding.json.shape_layout import (
    BARE,
    BEFORE,
    BIT,
    COLON,
    COLONS,
    FIRST_PART,
    FOUND,
    HOW,
    KEYS,
    LEARNED,
    LEVELS,
    MASK,
    MOST_SHAPES,
    MOST_VALUES,
    NESTED,
    OTHER_BITS,
    OUT,
    PART_WIDTH,
    PART_WORDS,
    QUOTED,
    QUOTES,
    READ_AS,
    SHAPE_WIDTH,
    SHAPES_AT,
    SIZE,
    STEP,
    VALUES,
    VALUES_READ,
)
from streamer.decoding.json.unwanted_values import LIST, OBJECT
from streamer.decoding.json.wide_loads import LOW_BYTES, byte_at, number_at, put_word, word_at

U = np.uint64

_NONE, _ONE = U(0), U(1)


@kernel(error_model="numpy", forceinline=True)
def nothing_read(memory):
    """Start collecting the values of a row that is fully parsed."""
    put_word(memory + 8 * VALUES_READ, _NONE)


@kernel(error_model="numpy", forceinline=True)
def value_read(at, end, target, memory):
    """Add a value of such a row, including its quotes."""
    count = number_at(memory, VALUES_READ)
    if count < MOST_VALUES:
        to = memory + 8 * (VALUES_READ + 1 + 3 * count)
        put_word(to, U(at))
        put_word(to + 8, U(end))
        put_word(to + 16, U(target))
    put_word(memory + 8 * VALUES_READ, U(count + 1))


@kernel(error_model="numpy")
def learn_shape(at, end, keys, quotes, head, fields, step, memory):
    """Store the shape of a valid, fully parsed row, if it has one and there is room.

    Columns are `step` bytes apart.
    """
    learned, count = number_at(memory, LEARNED), number_at(memory, VALUES_READ)
    if learned == MOST_SHAPES or count == 0 or count > MOST_VALUES:
        return
    shape = memory + 8 * (SHAPES_AT + learned * SHAPE_WIDTH)
    part, colon, stop, found, other = shape + 8 * FIRST_PART, 0, at, 0, _NONE
    for value in range(count):
        read = memory + 8 * (VALUES_READ + 1 + 3 * value)
        begin, value_end, target = number_at(read, 0), number_at(read, 1), number_at(read, 2)
        how = _how(begin, value_end, end)
        if how == NESTED:
            return
        if how == QUOTED:
            begin, value_end = begin + 1, value_end - 1
        elif how == LEVELS and target != UNWANTED:
            other |= _ONE << U(target)
            target = UNWANTED
        if begin <= head:
            before = colon
            while colon < keys and number_at(memory, COLONS + colon) < begin:
                if number_at(memory, COLONS + colon) < stop:  # inside a value
                    return
                colon += 1
            if colon == before or (how == LEVELS) != (begin == head):
                return
            put_word(part + 8 * COLON, U(colon - 1))
            put_word(part + 8 * BEFORE, U(number_at(memory, COLONS + colon - 1) - stop))
            found += 1
        if begin - stop > 8 * PART_WORDS:
            return
        _write(part, stop, begin)
        _write_reading(part, target, how, fields, step)
        stop = value_end
        part += 8 * PART_WIDTH
    if colon != keys or end - stop > 8 * PART_WORDS or (head != end) != ends_in_levels(shape, found):
        return
    _write(part, stop, end)
    put_word(shape + 8 * KEYS, U(keys))
    put_word(shape + 8 * QUOTES, U(quotes))
    put_word(shape + 8 * VALUES, U(count))
    put_word(shape + 8 * FOUND, U(found))
    put_word(shape + 8 * OTHER_BITS, other)
    place = place_of(keys, quotes, memory)
    put_word(place + 8, U(number_at(place, 0)))
    put_word(place, U(shape))
    put_word(memory + 8 * LEARNED, U(learned + 1))


@kernel(error_model="numpy")
def _how(begin, value_end, end):
    first = byte_at(begin)
    if first == QUOTE:
        return QUOTED
    if first == LIST and begins_levels(begin) and after_levels(begin, end) == value_end:
        return LEVELS
    return NESTED if first == LIST or first == OBJECT else BARE


@kernel(error_model="numpy")
def _write_reading(part, target, how, fields, step):
    kind, column = UNWANTED, 0
    if target != UNWANTED:
        kind = number_at(fields, target * FIELD_WIDTH + KIND)
        column = number_at(fields, target * FIELD_WIDTH + COLUMN)
    put_word(part + 8 * READ_AS, U(kind))
    put_word(part + 8 * HOW, U(how))
    put_word(part + 8 * BIT, _ONE << U(max(target, 0)))
    put_word(part + 8 * OUT, U(column * step))
    put_word(part + 8 * STEP, U(step))


@kernel(error_model="numpy")
def _write(part, begin, end):
    """Store the bytes of a part."""
    size = end - begin
    for word in range(PART_WORDS):
        bytes_there = max(0, min(size - 8 * word, 8))
        put_word(part + 8 * word, word_at(begin + 8 * word) & LOW_BYTES[bytes_there])
    put_word(part + 8 * MASK, U((1 << size) - 1))
    put_word(part + 8 * SIZE, U(size))
