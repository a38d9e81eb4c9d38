"""Learns the text between two values, such as ``,"price":``, and predicts it in later rows.

A separator is learned with its target and with the two separators last seen after it. In similar rows the
next one is then found by a single comparison of 32 bytes, instead of parsing comma, key and colon and looking
the key up. Separators are kept in a hash table; a new one replaces the one in its place.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np

from detectors.kernels import kernel
from streamer.decoding.json.wide_loads import LOW_BYTES, equal_bytes, number_at, put_word, word_at

U = np.uint64

_WORDS = 4
_LONGEST = 8 * _WORDS
# after its words: a bit for each byte, where it occurs, its size, its target, and what followed
_MASK, _WHERE, _SIZE, _TARGET, _NEXT, _NEXT_BUT_ONE, _WIDTH = range(_WORDS, _WORDS + 7)
_PLACES = 64
_MIX = U(0x9E3779B97F4A7C15)

TABLE_SIZE = (_PLACES + 1) * _WIDTH
"""Size of a table in int64."""


@kernel(error_model="numpy")
def empty_table(table):
    """Clear the table; returns the entry that precedes a row's first separator."""
    for place in range(_PLACES + 1):
        entry = table + place * _WIDTH * 8
        put_word(entry + 8 * _WHERE, U(-1))
        put_word(entry + 8 * _NEXT, U(table))
        put_word(entry + 8 * _NEXT_BUT_ONE, U(table))
    return table + _PLACES * _WIDTH * 8


@kernel(error_model="numpy", forceinline=True)
def expected(at, end, where, known):
    """The entry of the separator at `at`, if it has followed `known` before; else 0."""
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
        # a separator with more whitespace is a different one
        and word_at(at + number_at(entry, _SIZE)) & U(0xFF) > U(ord(" "))
    )


@kernel(error_model="numpy", forceinline=True)
def size_of(entry):
    """The size in bytes of a learned separator."""
    return number_at(entry, _SIZE)


@kernel(error_model="numpy", forceinline=True)
def target_of(entry):
    """The target of a learned separator."""
    return number_at(entry, _TARGET)


@kernel(error_model="numpy")
def learned(start, at, where, target, known, table):
    """The entry of the separator from `start` to `at`, which now follows `known`; `known` if it is too long.

    The object it occurs in counts: the same bytes may have another target in another object.
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
    """Eight bytes of a separator, padded with zeros."""
    return word_at(at + 8 * word) & LOW_BYTES[max(0, min(size - 8 * word, 8))]
