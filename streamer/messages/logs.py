"""Logs: what one task folds, be it one partition or several that belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from streamer.messages.records import Extent, Partition

ALL = -1
"""The partition number of a log that holds all partitions of its topics."""

_JOINT = "+"

Positions = tuple[int, ...]
"""An offset for each member of a log, by place."""


@dataclass(frozen=True, slots=True)
class Log:
    """What one task folds: a name, and its members in the order in which they are merged.

    Parameters
    ----------
    key
        What it is known by. A log of one partition is known by that; of several topics joined `topic` is
        their names with ``+`` between them, `partition` the number that they have in common, or `ALL`, and
        `incarnation` the generation alone.
    members
        The partitions, or files. The place of each in this order is what `Batch.source` holds.

    Examples
    --------
    >>> trades, orders = Partition("xex.trades", "t1", 3), Partition("xex.orders", "t2", 3)
    >>> str(Log.of(trades)), str(Log.joined(["xex.trades", "xex.orders"], 3, [trades, orders]))
    ('xex.trades[3]', 'xex.trades+xex.orders[3]')
    >>> str(Log.joined(["xex.trades"], ALL, [trades]))
    'xex.trades[*]'
    """

    key: Partition
    members: tuple[Partition, ...]

    @classmethod
    def of(cls, partition: Partition) -> Log:
        """The log of one partition, or file."""
        return cls(partition, (partition,))

    @classmethod
    def joined(cls, topics: Sequence[str], partition: int, members: Sequence[Partition]) -> Log:
        """The log of several topics joined, by one partition number of each, or by `ALL`."""
        return cls(Partition(_JOINT.join(topics), "", partition), tuple(members))

    @property
    def is_joined(self) -> bool:
        """Whether it has, or may come to have, several members: then it has a name of its own."""
        return self.members != (self.key,)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics, or files, of its members, each once."""
        return tuple(dict.fromkeys(member.topic for member in self.members))

    def place(self, partition: Partition) -> int:
        """The place of a member."""
        return self.members.index(partition)

    def with_key(self, key: Partition) -> Log:
        """The same members under another key."""
        return replace(self, key=key)

    def __str__(self) -> str:
        return name_of(self.key)


def name_of(key: Partition) -> str:
    """A log's name, by its key.

    Examples
    --------
    >>> name_of(Partition("spot.trades", "t1", 0)), name_of(Partition("trades+orders", "", ALL))
    ('spot.trades[0]', 'trades+orders[*]')
    """
    return f"{key.topic}[{'*' if key.partition == ALL else key.partition}]"


@dataclass(frozen=True, slots=True)
class LogExtent:
    """A log and how far each of its members reaches.

    Parameters
    ----------
    log
        The log.
    extents
        Those of its members, in their order; members that are gone are not among them.
    wait_s
        Seconds that a member at its end is waited for before the others go on without it.
    align
        Says where members that are new to a known log begin, by the offsets where the others go on; without
        it they begin at their first record.

    Examples
    --------
    >>> LogExtent.of(Extent(Partition("spot.trades", "t1", 0), first=0, end=9, start=0)).log.key.topic
    'spot.trades'
    """

    log: Log
    extents: tuple[Extent, ...]
    wait_s: float = 0.5
    align: Callable[[Mapping[Partition, int]], Mapping[Partition, int]] | None = None

    @classmethod
    def of(cls, extent: Extent) -> LogExtent:
        """The log of one partition."""
        return cls(Log.of(extent.partition), (extent,))
