"""The simulated market as the service sees a broker: one that always answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streamer.serve.watched import WatchedSource
from streamer.sources.contract import Chunk, Partition, Source


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
