"""Texts and names as people are shown them, and what a text shows already."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator

from alerts.rounding import rounded


def one_line(text: str) -> str:
    r"""Make text safe for one line, whatever a feed brings: what is not seen is shown by its number.

    Line breaks, a terminal's commands, marks that reverse the direction of writing, characters without
    width and halves of a character all count as such; so do marks on a letter that has several already, since
    no writing stacks more and they would cover other lines, and marks that would join a character of ours.

    Examples
    --------
    >>> one_line("ACME\x1b[2J is\ncrossed")
    'ACME\\x1b[2J is\\ncrossed'
    >>> one_line("AC\u200bME"), one_line("\u26a0\ufe0f ACME\ufe0f") == "\u26a0\ufe0f ACME\\ufe0f"
    ('AC\\u200bME', True)
    >>> one_line("a" + 30 * "\u0301" + "b").count("\\u0301")
    26
    >>> one_line("\u0338ACME"), one_line("Vie\u0302\u0323t") == "Vie\u0302\u0323t"
    ('\\u0338ACME', True)
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_seen else _number_of(character) for character, is_seen in _looked_at(text))


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
        character if is_seen else json.dumps(character)[1:-1].replace("\x7f", "\\u007f")
        for character, is_seen in _looked_at(line)
    )


def _looked_at(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether it is seen as itself."""
    joined = stacked = 0
    before = ""
    for character in text:
        joins = _joins(character)
        joined = joined + 1 if joins else 0
        stacked = stacked + (unicodedata.category(character) != "Mc") if joins else 0
        is_seen = stacked <= _MOST_MARKS and joined <= _MOST_JOINED and _is_seen(character, before)
        yield character, is_seen
        before = character if is_seen else ""


def _is_seen(character: str, before: str) -> bool:
    """Whether it is seen as itself after another one, which is empty where that is ours."""
    if not character.isprintable() or character in _UNSEEN:
        return False
    if character in _VARIANTS:  # they belong to a sign such as a warning's, and hide behind anything else
        return before != "" and unicodedata.category(before) == "So"
    return not _joins(character) or (before != "" and _carries(before, character))


def _joins(character: str) -> bool:
    """Whether it has no place of its own, but joins the character before it."""
    return unicodedata.category(character) in _MARKS or character in _JAMO


def _carries(before: str, mark: str) -> bool:
    if mark in _JAMO or mark in _STACKERS:  # nothing is seen of them behind another script's letter
        return _script(before) == _script(mark)
    return before.isalnum() or (not before.isascii() and unicodedata.category(before)[0] in "LNMS")


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _number_of(character: str) -> str:
    shown = character.encode("unicode_escape").decode()
    return shown if shown != character else f"\\x{ord(character):02x}"


_MARKS = ("Mn", "Me", "Mc")
_MOST_MARKS = 4  # Vietnamese has two on a letter, Hebrew with its accents three, Tibetan four
_MOST_JOINED = 8  # with those beside a letter, of which Burmese has up to five
_JAMO = frozenset(map(chr, (*range(0x1161, 0x1200), *range(0xD7B0, 0xD800))))  # join a consonant before them
_STACKERS = frozenset("\u1039\u17d2\u1a60\u1bab\uaaf6\U00010a3f\U00011133\U0001193e\U00011a47\U00011a99")
_VARIANTS = "\ufe0e\ufe0f"
_UNSEEN = frozenset(
    map(
        chr,
        (
            # printable to Python, and yet without width or ink: joiners, fillers, a blank of Braille, a note
            # without a head, the place of an object, what selects a letter's form, tags
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x2D7F, 0x3164, 0xFFA0, 0xFFFC),
            *(0x1107F, 0x16FE4, 0x1BC9D, 0x1D159),
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


def shows(text: str, value: float | str, unit: str = "", name: str = "") -> bool:
    """Whether a text shows a value, however it is rounded there: as a whole number or a whole word.

    A number counts only with its unit behind it, and one that has no unit not with that of a time or of basis
    points. A share is shown by its percentage, and a negative number by one with a minus sign only.

    Parameters
    ----------
    text, value
        The text, and a number or another text.
    unit
        As in `alerts.rounding.rounded`; empty for that which the name says, if it does.
    name
        What the value is. Of ``abs(...)`` the text may show either sign.

    Examples
    --------
    >>> said = "moved +30.4 bps in 10 s"
    >>> shows(said, 30.41, "bps"), shows(said, 30.41, name="return_bps_10s"), shows(said, -30.41, "bps")
    (True, True, False)
    >>> shows(said, 10.0), shows(said, 10.0, "s"), shows(said, 3.0), shows("4,200,000 traded", 4.2e6)
    (False, True, False, True)
    >>> shows("silent like 61% of them", 0.61), shows("Burst", "B"), shows("a B trade", "B")
    (True, False, True)
    """
    if isinstance(value, str):
        word = re.escape(value.strip())
        return re.search(rf"(?<!\w){word}(?!\w)", text) is not None
    if not math.isfinite(value):
        return False
    named = _UNIT_IN_NAME.search(name)
    unit = unit or ((named[1] or "s") if named else "")
    if name.startswith("abs("):
        text, value = _MINUS.sub("", text), abs(value)
    if any(_is_shown(found, value, unit) for found in _NUMBER.finditer(text)):
        return True
    written = rounded(value, unit, name) if unit == "s" and abs(value) >= _MINUTE_S else ""
    return bool(written) and re.search(rf"(?<![\w.,-]){re.escape(written)}(?!\w)", text) is not None


_MINUTE_S = 60.0
_MINUS = re.compile(r"(?<!\w)[-−](?=[\d.])")
_UNIT_IN_NAME = re.compile(r"_(bps|s|ms|us|ns)(?![a-z0-9])|\.rarity$")
_NUMBER = re.compile(
    r"(?<![\w.,:/+\-−])(?P<sign>[-+−]?)"
    r"(?P<number>(?:\d[\d,]*)?(?:\.\d+|(?<=\d)))(?P<power>e[-+]?\d+)?(?P<factor>[kMGT](?!\w))?"
    r"(?![.,:/-]\d)(?:\s?(?P<unit>%|bps|/s|ms|[uµ]s|ns|s|sec|seconds?|m|h|d)(?!\w)|(?!\w))"
)
_FACTORS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SPELLED = {"sec": "s", "second": "s", "seconds": "s", "µs": "us"}
_IN_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_COARSEST = 0.05  # of a value: one rounded to less than that is not shown


def _is_shown(found: re.Match[str], value: float, unit: str) -> bool:
    digits, power = found["number"].replace(",", ""), int((found["power"] or "e0")[1:])
    follows = _SPELLED.get(found["unit"] or "", found["unit"] or "")
    scale = _FACTORS.get(found["factor"] or "", 1.0)
    if unit == "s" and follows in _IN_SECONDS:
        scale *= _IN_SECONDS[follows]
    elif follows == "%" and unit in ("", "bps"):
        scale *= 0.01 if unit == "" else 100.0
    elif follows != unit and not (unit == "/s" and not follows):
        return False
    if abs(power) > _LARGEST_POWER or len(digits) > _MOST_DIGITS:
        return False
    step = 10.0 ** (power - len(digits.partition(".")[2])) * scale
    shown = float(digits) * 10.0**power * scale * (-1.0 if found["sign"] in ("-", "−") else 1.0)
    return abs(shown - value) <= min(0.5 * step, _COARSEST * abs(value)) * (1.0 + 1e-9) + 1e-12 * abs(value)


_LARGEST_POWER, _MOST_DIGITS = 300, 40
