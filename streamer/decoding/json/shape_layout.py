"""The memory layout of learned shapes, in int64."""

from __future__ import annotations

BLOCK = 64
"""Bytes examined at once."""

MOST_BYTES = 8 * BLOCK
"""A row that is longer than this up to its first levels, or its end, has no shape."""

MOST_VALUES, MOST_SHAPES = 32, 24

PART_WORDS = 4
MASK, COLON, BEFORE, SIZE, READ_AS, HOW, BIT, OUT, STEP, PART_WIDTH = range(PART_WORDS, PART_WORDS + 10)
"""A part of a shape, which precedes a value. After its words: a bit for each of its bytes, the number of its
last colon, that colon's position in it, its size; and of the value the requested type, how it is written, its
field's bit, the distance of its column from the first, and of a text's second column from that."""

BARE, QUOTED, LEVELS, NESTED = range(4)
"""How a value is written."""

KEYS, QUOTES, VALUES, FOUND, OTHER_BITS, FIRST_PART = range(6)
"""A shape: its numbers of keys and quotes before any levels, of values, and of values located by colons (up
to and including the first levels, or all); the bits of fields of another type that have levels; then its
parts, one before each value, and one before the end."""

SHAPE_WIDTH = FIRST_PART + (MOST_VALUES + 1) * PART_WIDTH

PLACES = 64
LEARNED = 2 * PLACES
COLONS = LEARNED + 1
VALUES_READ = COLONS + MOST_BYTES // 2 + 8
SPANS = VALUES_READ + 1 + 3 * MOST_VALUES
SHAPES_AT = SPANS + 2 * MOST_VALUES + 2
SHAPES_SIZE = SHAPES_AT + MOST_SHAPES * SHAPE_WIDTH
"""The total: two shapes per hash; the number of learned shapes; the positions of a row's colons; its values
when fully parsed (their number; start, end and target of each); start and end of its shape's parts; the
shapes."""
