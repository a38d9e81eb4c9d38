"""What people write as they would in other languages or in prose, and how it is written here."""

from __future__ import annotations

import re
from fractions import Fraction

from alerts.durations import UNIT_WORDS
from alerts.language.units import LITERALS

# operators of other languages, longer ones first
_OPERATORS = {
    "===": "==",
    "!==": "!=",
    "&&": "and",
    "||": "or",
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
    "~=": "==",
    ":=": "==",
    "**": "x * x",
    "=": "==",
    "&": "and",
    "|": "or",
    "!": "not",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "^": "x * x",
    "±": "abs(x) > y",
}
_WORDS = {
    "is not": "!=",
    "is": "==",
    "equals": "==",
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "ge": ">=",
    "gte": ">=",
    "lt": "<",
    "le": "<=",
    "lte": "<=",
    "above": ">",
    "over": ">",
    "exceeds": ">",
    "below": "<",
    "under": "<",
}
_CURRENCY = "$€£¥₿"
_MONEY = re.compile(
    rf"[{_CURRENCY}]\s*(\d[\d,_]*(?:\.\d+)?\s*[A-Za-z]*)|(\d[\d,_]*(?:\.\d+)?[A-Za-z]*)\s*[{_CURRENCY}]"
)
_GROUPED = re.compile(r"\d{1,3}(?:[,_' \u00a0\u202f]\d{3})+(?!\d)(\.\d+)?[A-Za-z%]*")
_DOTTED = re.compile(
    r"(?<![\d.])(?:(\d{1,3}(?:\.\d{3})+),(\d+[A-Za-z%]*)|(\d{1,3}(?:\.\d{3}){2,})(?![\d.,]))"
)
_COMMA = re.compile(r"(?<![\d.])(\d+),(\d+[A-Za-z%]*)")
_SPACED = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([kMG]?)\s+([A-Za-z]+|%)")
_BARS = re.compile(r"\|([^|]+)\|")
_CAPITALS = re.compile(r"\b(NOT|AND|OR|Not|And|Or)\s*$")
_NOTES = {
    ";": "leave it out: a condition ends with its text",
    "{": "names stand without braces in a condition",
    "}": "names stand without braces in a condition",
    "`": "names stand without quotes",
    "if": "write and instead",
    "then": "leave it out: a rule alerts where its condition is true",
    "xor": "write (A and not B) or (not A and B)",
}
_BETWEEN = re.compile(
    r"(?P<name>[\w.]+)\s+between\s+(?P<low>[\w.%]+)(?:\s+and\s+(?P<high>[\w.%]+))?", re.IGNORECASE
)
_LIKE = re.compile(r"\b(like|matches|contains|startswith|regexp?)\b", re.IGNORECASE)

_UNITS: dict[str, str] = {
    **UNIT_WORDS,
    **dict.fromkeys(("bp", "bip", "bips", "Bps", "BPS", "basispoints"), "bps"),
    **dict.fromkeys(("pct", "pc", "perc", "percent", "per_cent", "percentage"), "%"),
    **dict.fromkeys(("K", "thousand", "thousands", "tsd"), "k"),
    **dict.fromkeys(("mio", "mm", "MM", "mn", "mln", "million", "millions"), "M"),
    **dict.fromkeys(("B", "b", "bn", "Bn", "BN", "bln", "g", "billion", "billions"), "G"),
}
del _UNITS["M"]  # a unit of its own
_FRACTIONS = {"ms": Fraction(1, 1000), "us": Fraction(1, 1_000_000), "ns": Fraction(1, 1_000_000_000)}
_WEEKS = frozenset({"w", "wk", "week", "weeks"})
_CODES = re.compile(r"(k|M|G)?(USD[TC]?|EUR|GBP|JPY|CHF|BTC|ETH|usdt?|eur|dollars?|euros?)")


def unit_meant(digits: str, unit: str) -> str | None:
    """A number as it is written here, given its digits and a unit that is none here; None if it is not clear.

    Examples
    --------
    >>> unit_meant("1", "hour"), unit_meant("25", "bp"), unit_meant("250", "ms"), unit_meant("1", "_000")
    ('1h', '25bps', '0.25s', '1000')
    >>> unit_meant("500", "kUSD"), unit_meant("5", "apples")
    ('500k', None)
    """
    if re.fullmatch(r"(_\d+)+", unit):
        return digits + unit.replace("_", "")
    word = unit.strip()
    known = word if word in LITERALS else _UNITS.get(word) or _UNITS.get(word.lower())
    if known is not None:
        return f"{digits}{known}"
    if word in _WEEKS:
        return f"{_plain(Fraction(digits) * 7)}d"
    if word in _FRACTIONS:
        return f"{_plain(Fraction(digits) * _FRACTIONS[word])}s"
    code = _CODES.fullmatch(word)
    return f"{digits}{code[1] or ''}" if code else None


def explained(text: str, offset: int, unexpected: str) -> tuple[int, str, str] | None:
    """What is unexpected at an offset of an expression, if it is a spelling from elsewhere.

    Parameters
    ----------
    text
        The expression.
    offset
        Where its grammar stopped.
    unexpected
        The token or character there.

    Returns
    -------
    offset, problem, meant
        Where it begins, what is wrong, and what is written instead; None if it is no such spelling.

    Examples
    --------
    >>> explained("notional > 500,000", 14, ",")
    (11, "'500,000' is written without separators (did you mean '500000'?)", '500000')
    >>> explained("silence_s > 1 hour", 14, "hour")
    (12, "a unit follows its number without a space (did you mean '1h'?)", '1h')
    """
    return _amount(text, offset) or _phrase(text, offset) or _operator(text, offset, unexpected)


def _amount(text: str, offset: int) -> tuple[int, str, str] | None:
    for match in _MONEY.finditer(text):
        if match.start() <= offset < match.end():
            number = re.sub(r"[,_\s]", "", match[1] or match[2])
            return _meant(match.start(), "money is written as a plain number", number)
    for match in _GROUPED.finditer(text):
        if match.start() < offset <= match.end():
            meant = re.sub(r"[,_' \u00a0\u202f]", "", match[0])
            return _meant(match.start(), f"'{match[0]}' is written without separators", meant)
    for match in _DOTTED.finditer(text):
        if match.start() < offset <= match.end():
            whole = (match[1] or match[3]).replace(".", "")
            meant = f"{whole}.{match[2]}" if match[2] else whole
            return _meant(match.start(), f"'{match[0]}' is written without separators", meant)
    for match in _COMMA.finditer(text):
        if match.start() < offset < match.end():
            meant = f"{match[1]}.{match[2]}"
            return _meant(match.start(), "a decimal point is a '.'", meant)
    for match in _SPACED.finditer(text):
        if match.start(3) == offset:
            written = unit_meant(match[1], match[2] + match[3])
            if written is not None:
                return _meant(match.start(), "a unit follows its number without a space", written)
    return None


def _phrase(text: str, offset: int) -> tuple[int, str, str] | None:
    for match in _BETWEEN.finditer(text):
        if match.start() <= offset < match.end():
            name, low, high = match["name"], match["low"], match["high"] or "y"
            meant = f"{name} >= {low} and {name} <= {high}"
            return _meant(match.start(), "there is no 'between'", meant)
    bars = _BARS.match(text, offset)
    if bars is not None and offset == len(text) - len(text.lstrip()):
        return _meant(offset, "there are no bars", f"abs({bars[1].strip()})")
    before = _CAPITALS.search(text, 0, offset)
    if before is not None:
        return _meant(before.start(1), f"unexpected '{before[1]}'", before[1].lower())
    word = re.compile(r"[A-Za-z]+(\s+not)?\b").match(text, offset)
    note = _NOTES.get(text[offset]) if word is None else _NOTES.get(word[0].lower())
    if note is not None:
        return offset, f"unexpected '{text[offset] if word is None else word[0]}': {note}", ""
    if word is None:
        return None
    written = " ".join(word[0].lower().split())
    if written in ("is", "is not") and re.compile(r"\s*(null|none|nan|missing)\b", re.I).match(
        text, word.end()
    ):
        problem = "a comparison with a missing value is never true: there is nothing to ask for"
        return offset, f"unexpected '{word[0]}' ({problem})", ""
    first = written.split(" ", 1)[0]
    meant_word = _WORDS.get(written) or _WORDS.get(first)
    if meant_word is not None:
        shown = written if written in _WORDS else first
        return _meant(offset, f"unexpected '{shown}'", meant_word)
    if first in ("and", "or", "not", "in") and word[0][: len(first)] != first:
        return _meant(offset, f"unexpected '{word[0][: len(first)]}'", first)
    if _LIKE.match(text, offset):
        problem = f'unexpected \'{first}\' (texts are compared with == or != only, or with in ["a", "b"])'
        return offset, problem, "in"
    return None


def _operator(text: str, offset: int, unexpected: str) -> tuple[int, str, str] | None:
    for written, meant in _OPERATORS.items():
        # an unexpected later character of an operator belongs to the first
        for begin in range(offset, max(offset - len(written), -1), -1):
            if text.startswith(written, begin) and (begin < offset or len(written) >= len(unexpected)):
                return _meant(begin, f"unexpected '{written}'", meant)
    return None


def _meant(offset: int, problem: str, meant: str) -> tuple[int, str, str]:
    return offset, f"{problem} (did you mean '{meant}'?)", meant


def _plain(value: Fraction) -> str:
    return f"{float(value):.12f}".rstrip("0").rstrip(".")
