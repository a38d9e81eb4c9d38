"""Which names an instrument may have."""

from __future__ import annotations

from functools import lru_cache

from streamer.decoding.event_fields import TEXT_MAX_CHARS


@lru_cache(maxsize=1 << 16)
def valid_names(venue: str, symbol: str) -> bool:
    """Whether an instrument's names are valid in the schema; cached, since names repeat.

    >>> valid_names("binance", "BTCUSDT"), valid_names("binance", "")
    (True, False)
    """
    return all(0 < len(name) <= TEXT_MAX_CHARS and name.isprintable() for name in (venue, symbol))
