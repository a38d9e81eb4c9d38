"""The simulated market as a broker that can always be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streamer.messages.records import Chunk, Partition
from streamer.serve.watched_source import WatchedSource
from streamer.sources.source import Source


class MarketSource(WatchedSource):
    """Wraps a source as a `streamer.serve.observer.Broker`.

    Parameters
    ----------
    source
        The source to wrap.
    polled
        Called with the chunks of each poll, before they are processed.
    """

    def __init__(self, source: Source, polled: Callable[[Sequence[Chunk]], None]) -> None:
        super().__init__(source, lambda: None, polled)

    @property
    def answers(self) -> bool:
        """Always True."""
        return True

    def ends(self) -> Mapping[Partition, int]:
        """Empty: the number of records to come is not known."""
        return {}

    def asked_ends(self) -> Mapping[Partition, int]:
        """The same."""
        return {}

    def read_to(self) -> Mapping[Partition, int]:
        """The same."""
        return {}
