"""What is known of records besides their bytes: where they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DecodeContext:
    """The origin of records.

    Parameters
    ----------
    topic
        The topic's name, or a file's name without its folders.
    venue
        The venue of events that do not name one.
    source
        The place of the partition among the members of its log, for `Batch.source`.
    ignored
        Which records are only counted, see `streamer.decoding.ignored_records`.
    """

    topic: str
    venue: str | None = None
    source: int = 0
    ignored: frozenset[str] = frozenset()
