"""What the benchmarks share in one run: sizes, workloads, a folder, a broker, the peers' environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from benchmarks.broker import Broker
from benchmarks.captures import captures, once
from benchmarks.configuration import configuration
from benchmarks.full import compiled
from benchmarks.scale import Scale
from benchmarks.workload import Stream, market
from streamer.config.file import ConfigFile
from streamer.messages.records import Chunk, Partition
from streamer.pipeline.plan import Plan

PEERS = Path(__file__).parents[1] / ".venv-peers"
"""The environment of peers, where `make bench` puts it."""


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Events to be folded.

    Parameters
    ----------
    name
        ``made`` or ``captured``.
    streams
        Its partitions.
    chunks
        All of it in memory, as polls of Kafka would bring it.
    sample
        Values in order of time, for those that take long over each.
    """

    name: str
    streams: Sequence[Stream]
    chunks: Sequence[Chunk]
    sample: Sequence[bytes]

    @property
    def partitions(self) -> list[Partition]:
        """Of the streams."""
        return [stream.partition for stream in self.streams]

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(len(stream) for stream in self.streams)


class Bench:
    """One run; a context manager that takes away what it has made.

    Parameters
    ----------
    scale
        How much to measure.
    say
        Told what goes on.
    peers
        The Python of an environment with the peers in it, None where there is none.
    bootstrap
        A broker to use; one is started on a core of its own where absent, when it is first needed.
    """

    def __init__(
        self,
        scale: Scale,
        say: Callable[[str], None],
        peers: Path | None = None,
        bootstrap: str | None = None,
    ) -> None:
        self.scale = scale
        self.say = say
        self.peers = peers
        self._given = bootstrap
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="tapewatch-bench-")))
        self._folders = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def config(self) -> ConfigFile:
        """The shipped example with everything on."""
        return configuration()

    @cached_property
    def plan(self) -> Plan:
        """The same, compiled, its kernels ready."""
        return compiled(self.config)

    @cached_property
    def made(self) -> Workload:
        """The made market."""
        self.say(f"making {self.scale.events:,} events")
        stream = market(self.scale.events, self.scale.market_symbols)
        return Workload("made", [stream], list(stream.chunks()), stream.values[: self.scale.peer_events])

    @cached_property
    def captured(self) -> Workload:
        """The real captures, repeated."""
        self.say("repeating the captures")
        streams = captures(self.scale.events)
        return Workload("captured", streams, in_time(streams), once(streams, self.scale.peer_events))

    @cached_property
    def broker(self) -> Broker:
        """A real broker."""
        self.say("starting a broker" if self._given is None else f"the broker at {self._given}")
        return self._stack.enter_context(Broker.opened(self._given))

    @cached_property
    def topic(self) -> str:
        """A topic that holds the made market."""
        return self.broker.filled("spot.bench", self.made.streams[0], self)

    @cached_property
    def sample_topic(self) -> str:
        """A topic that holds the made market's sample."""
        whole = self.made.streams[0]
        n = len(self.made.sample)
        return self.broker.filled(
            "spot.sample", Stream(whole.partition, whole.values[:n], whole.times[:n]), self
        )

    def new_folder(self) -> Path:
        """An empty folder."""
        self._folders += 1
        folder = self.folder / f"{self._folders}"
        folder.mkdir()
        return folder


def in_time(streams: Sequence[Stream]) -> list[Chunk]:
    """The chunks of several partitions in the order of their first records' times."""
    found = [
        (int(chunk.records[0].timestamp), at, chunk)
        for at, each in enumerate(streams)
        for chunk in each.chunks()
    ]
    return [chunk for _, _, chunk in sorted(found, key=lambda entry: entry[:2])]
