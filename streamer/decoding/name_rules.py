"""Which names an instrument may have."""

from __future__ import annotations

from functools import lru_cache

from streamer.decoding.event_fields import TEXT_MAX_CHARS


def valid_names(venue: str, symbol: str) -> bool:
    """Whether an instrument's names are valid in the schema.

    >>> valid_names("binance", "BTCUSDT"), valid_names("binance", "")
    (True, False)
    """
    if not (0 < len(venue) <= TEXT_MAX_CHARS and 0 < len(symbol) <= TEXT_MAX_CHARS):
        return False  # and not cached: texts of any length would fill the memory
    return _printable(venue, symbol)


@lru_cache(maxsize=1 << 16)
def _printable(venue: str, symbol: str) -> bool:
    """Cached, since names repeat."""
    return venue.isprintable() and symbol.isprintable()
