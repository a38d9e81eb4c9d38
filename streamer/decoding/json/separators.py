"""What stands between two values, such as ``,"price":``, learned and expected again.

A separator is learned with what it leads to and with the two that were last seen after it. In rows of the
same make the next one is then found by one comparison of 32 bytes, instead of comma, key, look-up and colon.
Learned ones lie in a table, each at a place that its bytes determine; what was there before is forgotten.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.wide_loads import LOW_BYTES, equal_bytes, number_at, put_word, word_at

U = np.uint64

_WORDS = 4
_LONGEST = 8 * _WORDS
# behind its words: a bit for each byte, where it stands, how long it is, to what it leads, what followed
_MASK, _WHERE, _SIZE, _TARGET, _NEXT, _NEXT_BUT_ONE, _WIDTH = range(_WORDS, _WORDS + 7)
_PLACES = 64
_MIX = U(0x9E3779B97F4A7C15)

TABLE_SIZE = (_PLACES + 1) * _WIDTH
"""How many int64 a table takes."""


@kernel(error_model="numpy")
def empty_table(table):
    """Forget all; returns the entry that stands before a row's first separator."""
    for place in range(_PLACES + 1):
        entry = table + place * _WIDTH * 8
        put_word(entry + 8 * _WHERE, U(-1))
        put_word(entry + 8 * _NEXT, U(table))
        put_word(entry + 8 * _NEXT_BUT_ONE, U(table))
    return table + _PLACES * _WIDTH * 8


@kernel(error_model="numpy", forceinline=True)
def expected(at, end, where, known):
    """The entry of the separator that stands at `at`, if it came after `known` before; 0 otherwise."""
    following = number_at(known, _NEXT)
    if _stands(at, end, where, following):
        return following
    other = number_at(known, _NEXT_BUT_ONE)
    if _stands(at, end, where, other):
        put_word(known + 8 * _NEXT, U(other))
        put_word(known + 8 * _NEXT_BUT_ONE, U(following))
        return other
    return 0


@kernel(error_model="numpy", forceinline=True)
def _stands(at, end, where, entry):
    mask = U(number_at(entry, _MASK))
    return (
        number_at(entry, _WHERE) == where
        and equal_bytes(at, entry) & mask == mask
        and at + number_at(entry, _SIZE) < end
        # a separator that is longer by blanks only is another one
        and word_at(at + number_at(entry, _SIZE)) & U(0xFF) > U(ord(" "))
    )


@kernel(error_model="numpy", forceinline=True)
def size_of(entry):
    """How many bytes a learned separator has."""
    return number_at(entry, _SIZE)


@kernel(error_model="numpy", forceinline=True)
def target_of(entry):
    """What a learned separator leads to."""
    return number_at(entry, _TARGET)


@kernel(error_model="numpy")
def learned(start, at, where, target, known, table):
    """The entry of the separator from `start` to `at`, now after `known`; `known` itself for a long one.

    Where it stands counts: the same bytes may lead elsewhere in another object.
    """
    size = at - start
    if size > _LONGEST:
        return known
    mixed = U(where)
    for word in range(_WORDS):
        mixed = (mixed ^ _word(start, size, word)) * _MIX
        mixed ^= mixed >> U(32)
    entry = table + np.int64(mixed & U(_PLACES - 1)) * _WIDTH * 8
    for word in range(_WORDS):
        put_word(entry + 8 * word, _word(start, size, word))
    put_word(entry + 8 * _MASK, U((1 << size) - 1))
    put_word(entry + 8 * _WHERE, U(where))
    put_word(entry + 8 * _SIZE, U(size))
    put_word(entry + 8 * _TARGET, U(target))
    put_word(known + 8 * _NEXT_BUT_ONE, U(number_at(known, _NEXT)))
    put_word(known + 8 * _NEXT, U(entry))
    return entry


@kernel(error_model="numpy", forceinline=True)
def _word(at, size, word):
    """Eight bytes of a separator, zeros behind its last."""
    return word_at(at + 8 * word) & LOW_BYTES[max(0, min(size - 8 * word, 8))]
