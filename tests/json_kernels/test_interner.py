"""Texts as codes, numbered as they come."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from guarded import spans
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.decoding.json import Interner
from streamer.decoding.json.scanner import PADDING


def codes(interner: Interner, texts: list[bytes | None]) -> list[int]:
    arena: NDArray[np.uint8] = np.frombuffer(
        b"".join(text or b"" for text in texts) + b"\xff" * PADDING, np.uint8
    )
    return interner.codes(arena, *spans(texts)).tolist()  # type: ignore[no-any-return]


@settings(deadline=None)  # the first one compiles
@given(st.lists(st.lists(st.none() | st.text(max_size=20).map(str.encode), max_size=30), max_size=6))
def test_codes_are_those_of_a_dict(batches: list[list[bytes | None]]) -> None:
    interner = Interner()
    known: dict[bytes, int] = {}
    for batch in batches:
        right = [-1 if text is None else known.setdefault(text, len(known)) for text in batch]
        assert codes(interner, batch) == right
        assert interner.texts == [text.decode() for text in known]


def test_codes_stay_while_it_grows() -> None:
    random = Random(1)
    texts: list[bytes | None] = [random.randbytes(random.randrange(40)).hex().encode() for _ in range(20_000)]
    known = dict.fromkeys(texts)
    numbers = {text: number for number, text in enumerate(known)}
    interner = Interner()
    for first in range(0, len(texts), 1700):
        batch = texts[first : first + 1700]
        assert codes(interner, batch) == [numbers[text] for text in batch]
    assert codes(interner, texts) == [numbers[text] for text in texts]
    assert interner.texts == [text.decode() for text in known if text is not None]


def test_texts_that_differ_in_one_byte_only() -> None:
    for size in (1, 7, 8, 9, 16, 17, 33):
        texts: list[bytes | None] = [b"a" * place + b"b" + b"a" * (size - place - 1) for place in range(size)]
        texts += [b"a" * size, b"a" * size + b"\x00", b"\x00" * size, b"\x00" * (size + 1)]
        assert codes(Interner(), texts) == list(range(len(texts)))


def test_texts_of_the_same_hash() -> None:
    mix, word = 0x9E3779B97F4A7C15, (1 << 64) - 1

    def after_one_word(first: int) -> int:
        mixed = ((16 * mix & word) ^ first) * mix & word
        return mixed ^ mixed >> 32

    wanted = after_one_word(7) ^ 9
    pairs = [(first, after_one_word(first) ^ wanted) for first in range(7, 60)]
    texts: list[bytes | None] = [b"".join(half.to_bytes(8, "little") for half in pair) for pair in pairs]
    assert codes(Interner(), texts * 2) == [*range(len(texts))] * 2


def test_beyond_its_limit_texts_get_no_code_and_known_ones_keep_theirs() -> None:
    interner = Interner(limit=2, longest=5)
    assert codes(interner, [b"a", b"b", b"c", None, b"a"]) == [0, 1, Interner.BEYOND, -1, 0]
    assert codes(interner, [b"c", b"b", b"123456"]) == [Interner.BEYOND, 1, Interner.BEYOND]
    assert interner.texts == ["a", "b"]


def test_a_text_that_is_larger_than_all_before() -> None:
    interner = Interner(longest=100_000)
    long = b"x" * 90_000
    assert codes(interner, [b"a", long, b"b", long]) == [0, 1, 2, 1]
    assert interner.texts == ["a", long.decode(), "b"]


@pytest.mark.parametrize(
    ("at", "size"), [([-1], [1]), ([0], [9]), ([0], [-2]), ([9], [0]), ([1], [2**63 - 1])]
)
def test_texts_that_are_not_within_the_arena_are_refused(at: list[int], size: list[int]) -> None:
    interner = Interner()
    with pytest.raises(ValueError):
        interner.codes(np.zeros(8 + PADDING, np.uint8), np.array([0, *at]), np.array([1, *size]))
    assert interner.texts == []
