"""Texts and names as people are shown them, and what a text shows already."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable
from itertools import pairwise


def one_line(text: str) -> str:
    r"""Make text safe for one line, whatever a feed brings: what is not seen is shown by its number.

    Line breaks, a terminal's commands, marks that reverse the direction of writing, characters without
    width and halves of a character all count as such.

    Examples
    --------
    >>> one_line("ACME\x1b[2J is\ncrossed")
    'ACME\\x1b[2J is\\ncrossed'
    >>> one_line("AC\u200bME"), one_line("\u26a0\ufe0f ACME\ufe0f") == "\u26a0\ufe0f ACME\\ufe0f"
    ('AC\\u200bME', True)
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if _is_seen(character, before) else _number_of(character)
        for before, character in pairwise(" " + text)
    )


def several_lines(text: str) -> str:
    r"""The same for a text of our own that may have several lines: line breaks stay.

    Examples
    --------
    >>> several_lines("one\x07\ntwo")
    'one\\x07\ntwo'
    """
    return "\n".join(one_line(line) for line in text.split("\n"))


def safe_json(line: str) -> str:
    r"""JSON on one line, equal to what is given, in which nothing obeys or deceives a terminal.

    Parameters
    ----------
    line
        Valid JSON without line breaks; what is not seen as itself can only be within its texts.

    Examples
    --------
    >>> safe_json('{"symbol": "AC\u202eME\x7f"}')
    '{"symbol": "AC\\u202eME\\u007f"}'
    """
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        character if _is_seen(character, before) else json.dumps(character)[1:-1].replace("\x7f", "\\u007f")
        for before, character in pairwise(" " + line)
    )


def _is_seen(character: str, before: str) -> bool:
    if character in _VARIANTS:  # they belong to a sign such as a warning's, and hide behind anything else
        return unicodedata.category(before) == "So"
    return character.isprintable() and character not in _UNSEEN


def _number_of(character: str) -> str:
    shown = character.encode("unicode_escape").decode()
    return shown if shown != character else f"\\x{ord(character):02x}"


_VARIANTS = "\ufe0e\ufe0f"
_UNSEEN = frozenset(
    map(
        chr,
        (
            # printable to Python, and yet without width or ink: joiners, fillers, a blank of Braille, tags
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE0E),
            *range(0xE0100, 0xE01F0),
        ),
    )
)


def lines_of(said: str, parts: Iterable[object]) -> list[str]:
    r"""The lines of a rule's text: the rule's own line breaks stay, those of a feed's texts do not.

    Parameters
    ----------
    said
        The text.
    parts
        What the feed gave: venue, symbol, values.

    Examples
    --------
    >>> lines_of("AC\nME traded\nby bob", ["AC\nME", 5.0])
    ['AC\\nME traded', 'by bob']
    """
    for part in parts:
        if isinstance(part, str) and not part.isprintable():
            said = said.replace(part, one_line(part))
    return [one_line(line).rstrip() for line in said.strip().split("\n")]


def shows(text: str, value: float, unit: str = "") -> bool:
    """Whether a text shows a number, however it is rounded there.

    Parameters
    ----------
    text, value
        The text, and the number.
    unit
        What has to follow it; empty for anything.

    Examples
    --------
    >>> shows("moved +30.4 bps in 10 s", 30.41), shows("4,200,000 traded", 4.2e6), shows("moved", 3.0)
    (True, True, False)
    >>> shows("moved +30.4 bps in 10 s", 10.0), shows("moved +30.4 bps in 10 s", 10.0, "bps")
    (True, False)
    """
    words = [*text.split(), ""]
    return any(
        abs(_number(word) - abs(value)) <= 0.01 * abs(value)
        for word, following in pairwise(words)
        if not unit or word.strip(_AROUND).endswith(unit) or following.strip(_AROUND) == unit
    )


_AROUND = "()[]:;,.'\"+-=<>"
_FACTORS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def _number(word: str) -> float:
    bare = word.strip(_AROUND).replace(",", "").removesuffix("%")
    factor = _FACTORS.get(bare[-1:], 1.0)
    try:
        return float(bare if factor == 1.0 else bare[:-1]) * factor
    except ValueError:
        return math.nan
