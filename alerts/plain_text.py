"""Texts and names as people are shown them, and what a text shows already."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise


def one_line(text: str) -> str:
    r"""Make text safe for one line, whatever a feed brings: what is not printable is shown by its number.

    Line breaks, a terminal's commands and marks that reverse the direction of writing all count as such.

    Examples
    --------
    >>> one_line("ACME\x1b[2J is\ncrossed")
    'ACME\\x1b[2J is\\ncrossed'
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
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
