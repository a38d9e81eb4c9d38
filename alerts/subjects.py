"""Texts of rules that begin with the symbol, beside what names the instrument already."""

from __future__ import annotations

_VERBS = frozenset({"is", "are", "was", "has", "had", "can", "will", "may"})  # cannot begin a sentence


def without_subject(said: str, symbol: str) -> str:
    """A text without the symbol that it begins with, where it can do without.

    Examples
    --------
    >>> without_subject("ACME moved +30.4 bps", "ACME"), without_subject("ACME is crossed", "ACME")
    ('Moved +30.4 bps', 'ACME is crossed')
    """
    rest = said[len(symbol) :]
    if not symbol or not said.startswith(symbol) or not rest.startswith((": ", " ")):
        return said
    rest = rest.lstrip(": ")
    is_verb = said[len(symbol)] == " " and rest.split(" ", 1)[0] in _VERBS
    return said if is_verb or not rest else rest[0].upper() + rest[1:]
