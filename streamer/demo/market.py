"""The simulated market as the service sees a broker: one that always answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streamer.messages.records import Chunk, Partition
from streamer.serve.watched_source import WatchedSource
from streamer.sources.source import Source


class MarketSource(WatchedSource):
    """Another source, unchanged; a `streamer.serve.observer.Broker`.

    Parameters
    ----------
    source
        Where records come from.
    seen
        Shown what a poll brings, before it is handed on.
    """

    def __init__(self, source: Source, seen: Callable[[Sequence[Chunk]], None]) -> None:
        super().__init__(source, lambda: None, seen)

    @property
    def answers(self) -> bool:
        """True: nobody is away."""
        return True

    def ends(self) -> Mapping[Partition, int]:
        """Of no partition: nobody knows how many records a market will have had."""
        return {}
