"""How what is learned of rows' shapes lies in memory, in int64."""

from __future__ import annotations

BLOCK = 64
"""So many bytes are looked at together."""

MOST_BYTES = 8 * BLOCK
"""A row that is longer up to its end or its first levels has no shape here."""

MOST_VALUES, MOST_SHAPES = 32, 24

PART_WORDS = 4
MASK, COLON, BEFORE, SIZE, READ_AS, HOW, BIT, OUT, STEP, PART_WIDTH = range(PART_WORDS, PART_WORDS + 10)
"""A part of a shape, which stands before a value: behind its words a bit for each of its bytes, which colon
is its last, that colon's place in it, its size; and of the value the type that is wanted, how it is written,
its field's bit, how far its column is from the first, and a text's second one from that."""

BARE, QUOTED, LEVELS, NESTED = range(4)
"""How a value is written."""

KEYS, QUOTES, VALUES, FOUND, OTHER_BITS, FIRST_PART = range(6)
"""A shape: how many keys and quotes it has before any levels, how many values, how many of these are found by
colons (up to the first levels, these among them, or else all), the bits of fields that want something else
where levels are; then the parts, one before each value, and one before the end."""

SHAPE_WIDTH = FIRST_PART + (MOST_VALUES + 1) * PART_WIDTH

PLACES = 64
LEARNED = 2 * PLACES
COLONS = LEARNED + 1
VALUES_READ = COLONS + MOST_BYTES // 2 + 8
SPANS = VALUES_READ + 1 + 3 * MOST_VALUES
SHAPES_AT = SPANS + 2 * MOST_VALUES + 2
SHAPES_SIZE = SHAPES_AT + MOST_SHAPES * SHAPE_WIDTH
"""All of it: two shapes for each place; how many are learned; where the colons of a row are; its values as
they were read by the book (how many, and from where to where, to which target); where the parts of its shape
begin and end; the shapes."""
