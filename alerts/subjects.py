"""What an alert is about, and texts of rules that begin with it."""

from __future__ import annotations

_VERBS = frozenset({"is", "are", "was", "has", "had", "can", "will", "may"})  # cannot begin a sentence


def subject_of(venue: str | None, symbol: str | None, otherwise: str = "") -> str:
    """Venue and symbol, or something else where an alert is about no instrument.

    Examples
    --------
    >>> subject_of("XNAS", "ACME"), subject_of(None, None, "log_gap")
    ('XNAS ACME', 'log_gap')
    """
    return " ".join(part for part in (venue, symbol) if part) or otherwise


def without_subject(said: str, symbol: str, *, is_named: bool) -> str:
    """A text without the symbol that it begins with, where it can do without.

    Parameters
    ----------
    said, symbol
        The text, and the symbol.
    is_named
        Whether the rule's text names the symbol; where it does not, a word that is the same stays.

    Examples
    --------
    >>> without_subject("ACME moved +30.4 bps", "ACME", is_named=True)
    'Moved +30.4 bps'
    >>> without_subject("ACME is crossed", "ACME", is_named=True)
    'ACME is crossed'
    >>> without_subject("NO trades for 30 s", "NO", is_named=False)
    'NO trades for 30 s'
    """
    rest = said[len(symbol) :]
    if not symbol or not said.startswith(symbol) or not rest.startswith((": ", " ") if is_named else ": "):
        return said
    rest = rest.lstrip(": ")
    is_verb = said[len(symbol)] == " " and rest.split(" ", 1)[0] in _VERBS
    return said if is_verb or not rest else rest[0].upper() + rest[1:]
