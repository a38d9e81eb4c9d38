"""Turns what kafka-python returns into records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamer.events.batch import NO_TIME
from streamer.sources.contract import Record

_NS_PER_MS = 1_000_000


def records_of(found: Sequence[Any]) -> list[Record]:
    """The same records as the rest of the program knows them."""
    return [
        Record(
            one.offset,
            one.value,
            one.timestamp * _NS_PER_MS if one.timestamp >= 0 else NO_TIME,
            one.key,
            tuple(one.headers or ()),
        )
        for one in found
    ]
