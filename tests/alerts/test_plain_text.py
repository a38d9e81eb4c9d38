"""What a feed writes in any script is shown as it is, and what nobody sees is shown by its number."""

from __future__ import annotations

import json
import re
import sys
import unicodedata

import pytest

from alerts.plain_text import one_line, safe_json

INKLESS = re.compile(
    r"\b(FILLER|JOINER|SUBJOINER|BLANK|INVISIBLE|INHERENT|NULL NOTEHEAD|OBJECT REPLACEMENT|SELECTOR(-\d+)?)\b"
)
WITH_INK = re.compile(r"BLANK SYMBOL|GAP FILLER|LINE FILLER")


def test_no_character_without_ink_passes() -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    inkless = [each for each in characters if INKLESS.search(unicodedata.name(each, ""))]
    inkless = [each for each in inkless if not WITH_INK.search(unicodedata.name(each))]
    assert len(inkless) > 250
    shown = [unicodedata.name(each) for each in inkless if each in one_line(f"A{each}B")]
    assert shown == []
    assert [each for each in inkless if each in safe_json(f'"A{each}B"')] == []


@pytest.mark.parametrize(
    "text",
    [
        "a" + ("\u0301" * 4 + "\u0903") * 5,  # a mark beside the letter between those above it
        "a" + "\u0903" * 20,
        "\u1100" + "\u1161" * 20,  # vowels and finals of Hangul, which have no width
        "\u1100\u1161" + "\u11a8" * 20,
        "A\u1161B",
        "A\u17d2B",  # stacks what follows in Khmer, and is not seen elsewhere
        "\u0338ACME",  # would strike out what stands before the value
        "size \u0338ACME",
        "A\u200d\u0338B",
    ],
)
def test_marks_neither_pile_up_nor_join_what_is_not_theirs(text: str) -> None:
    assert "\\u" in one_line(text)
    in_json = safe_json(json.dumps(text, ensure_ascii=False))
    assert "\\u" in in_json
    assert json.loads(in_json) == text


@pytest.mark.parametrize(
    "text",
    [
        "Vie\u0323\u0302t Nam",
        "\u1112\u1161\u11ab\u1100\u1173\u11af",  # Korean, decomposed
        "\u1019\u103c\u103d\u103e\u1031\u1038",  # Burmese
        "\u1000\u1004\u103a\u1039\u1002",
        "\u1781\u17d2\u1798\u17c2\u179a",  # Khmer
        "\u0939\u093f\u0928\u094d\u0926\u0940",  # Hindi
        "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",  # Hebrew with points
        "\u26a0\ufe0f",
        "x\u20dd \u2202\u0338",
    ],
)
def test_what_is_written_somewhere_is_shown_as_it_is(text: str) -> None:
    assert one_line(text) == text
