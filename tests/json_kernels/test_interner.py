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


def siphash(text: bytes, key: bytes) -> int:
    """SipHash-1-3, after its description."""
    word = (1 << 64) - 1

    def turned(value: int, by: int) -> int:
        return (value << by | value >> 64 - by) & word

    def mixed(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
        a, c = a + b & word, c + d & word
        b, d = turned(b, 13) ^ a, turned(d, 16) ^ c
        a = turned(a, 32)
        c, a = c + b & word, a + d & word
        b, d = turned(b, 17) ^ c, turned(d, 21) ^ a
        return a, b, turned(c, 32), d

    one, two = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    magic = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    state = (magic[0] ^ one, magic[1] ^ two, magic[2] ^ one, magic[3] ^ two)
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 255])
    for at in range(0, len(padded), 8):
        block = int.from_bytes(padded[at : at + 8], "little")
        a, b, c, d = mixed(*state[:3], state[3] ^ block)
        state = (a ^ block, b, c, d)
    state = (state[0], state[1], state[2] ^ 255, state[3])
    for _ in range(3):
        state = mixed(*state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def made_to_collide(key: bytes, count: int, places: int = 256) -> list[bytes | None]:
    """Names that all fall into the first place of a table, for whoever knows its key."""
    found: list[bytes | None] = []
    for number in range(1_000_000):
        name = b"SYM%06d" % number
        if siphash(name, key) >> 8 & places - 1 == 0:
            found.append(name)
        if len(found) == count:
            break
    return found


def colliding_under_any_seed(pairs: int) -> list[bytes | None]:
    """2**pairs texts that share one multiplicative hash, however it is seeded by an xor.

    A difference in the highest bit of a word stays one of single bits, which the next word takes back.
    """
    texts: list[bytes] = [b""]
    for _ in range(pairs):
        one = b"AAAAAAAABBBBBBBB"
        other = bytes([*one[:7], one[7] ^ 0x80, *one[8:11], one[11] ^ 0x80, *one[12:15], one[15] ^ 0x80])
        texts = [text + half for text in texts for half in (one, other)]
    return list(texts)


def test_a_keyed_hash_is_that_of_its_description() -> None:
    key = bytes(range(16))
    for length in (*range(20), 63, 64, 300):
        text = bytes(range(256))[:length] + b"x" * max(length - 256, 0)
        interner = Interner(key=key)
        codes(interner, [text])
        assert int(interner._hashes[0]) == siphash(text, key)


def test_names_made_to_collide_under_any_seed_get_their_numbers() -> None:
    texts = colliding_under_any_seed(10)
    interner = Interner()
    assert codes(interner, texts * 2) == [*range(1_024)] * 2
    assert interner.rebuilt == 0


def test_with_a_key_that_somebody_knows_the_table_is_built_anew_with_another() -> None:
    key = b"known to someone"
    texts = made_to_collide(key, 40)
    texts += [b"other", None]
    with_it, without = Interner(key=key), Interner()
    right = [*range(41), -1]
    assert codes(with_it, texts) == codes(without, texts) == right
    assert codes(with_it, texts) == right
    assert with_it.rebuilt >= 1
    assert with_it.texts == without.texts


def test_numbers_do_not_depend_on_the_key() -> None:
    texts: list[bytes | None] = [b"S%d" % (number * 7 % 301) for number in range(2_000)]
    assert codes(Interner(key=bytes(16)), texts) == codes(Interner(key=b"\xff" * 16), texts)


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
