"""The lines of a recording: one JSON object each.

The first line lists the partitions, and the logs that several of them were joined to. After it come, log by
log, records (``p`` partition number, ``o`` offset, ``t`` timestamp in ms, ``k`` key, ``h`` headers, ``v``
value), timers (``tick`` number, ``ts`` ns) and control inputs of detectors (``control`` kind, ``data``) in
the order in which they were folded. Those of a joined log come by the segments of its journal: ``merge``
names the partitions of one, whose records follow and are merged by their times, and ``done`` says that a
partition has no more of them, ``idle`` that the others went on without it. Bytes that are not UTF-8 are
written as ``{"b64": …}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from streamer.messages.control_inputs import ControlInput, ControlKind
from streamer.messages.logs import Log, LogExtent, Positions
from streamer.messages.records import NO_TIME, Extent, Partition, Record

FORMAT_VERSION = 3
"""Incremented when older versions of tapewatch could not read the new format, or would misread it."""

BY_WATERMARK = 1
"""The version whose timers count from the log's watermark. Later ones count from its running time."""

ALONE = 2
"""The version without joined logs, which older versions of tapewatch read, too."""

READABLE = (BY_WATERMARK, ALONE, FORMAT_VERSION)

NS_PER_MS = 1_000_000
_Count = Annotated[int, Meta(ge=0, le=2**62)]
_Millis = Annotated[int, Meta(ge=-(2**63) // NS_PER_MS, le=2**63 // NS_PER_MS)]


class PartitionStart(Struct, forbid_unknown_fields=True):
    """A partition, and the offset where its history begins."""

    topic: str
    incarnation: str
    partition: _Count
    start: _Count

    def as_partition(self) -> Partition:
        """The partition alone."""
        return Partition(self.topic, self.incarnation, self.partition)


class JoinedMembers(Struct, forbid_unknown_fields=True):
    """A joined log: what it is known by, and the numbers of its partitions, by place."""

    topic: str
    incarnation: str
    partition: Annotated[int, Meta(ge=-1, le=2**62)]
    members: tuple[_Count, ...]


class Header(Struct, omit_defaults=True):
    """The first line."""

    tapewatch: Literal["recording"]
    version: int
    partitions: tuple[PartitionStart, ...]
    logs: tuple[JoinedMembers, ...] = ()

    def extents(self, end: int) -> list[LogExtent]:
        """The logs, each with where its history begins; those of one partition last."""
        starts = [Extent(each.as_partition(), each.start, end, each.start) for each in self.partitions]
        found = []
        for log in self.logs:
            members = tuple(starts[number] for number in log.members)
            key = Partition(log.topic, log.incarnation, log.partition)
            found.append(LogExtent(Log(key, tuple(each.partition for each in members)), members))
        joined = {number for log in self.logs for number in log.members}
        alone = [extent for number, extent in enumerate(starts) if number not in joined]
        return [*found, *map(LogExtent.of, alone)]


class Bytes(Struct, forbid_unknown_fields=True):
    """Bytes that are not UTF-8."""

    b64: bytes


class Line(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A record; a timer if `tick` is set, a control input if `control` is.

    It begins a segment if `merge` is set, and ends a partition's part of one with `done`.
    """

    p: _Count
    o: _Count | UnsetType = UNSET
    t: _Millis | UnsetType = UNSET
    k: str | Bytes | UnsetType = UNSET
    h: tuple[tuple[str, str | Bytes | None], ...] = ()
    v: str | Bytes | UnsetType | None = UNSET
    tick: _Count | UnsetType = UNSET
    ts: int | UnsetType = UNSET
    control: ControlKind | UnsetType = UNSET
    data: str | UnsetType = UNSET
    merge: tuple[_Count, ...] | UnsetType = UNSET
    done: bool = False
    idle: bool = False


_encode = msgspec.json.Encoder().encode
read_header = msgspec.json.Decoder(Header).decode
"""Parses the first line; raises `msgspec.MsgspecError` if it is not one."""

read_line = msgspec.json.Decoder(Line).decode
"""Parses any other line; raises `msgspec.MsgspecError` if it is not one."""


def header_line(logs: Sequence[tuple[Log, Positions]]) -> bytes:
    """The first line: the partitions of these logs, each with the offset where its history begins."""
    starts: list[PartitionStart] = []
    joined = []
    for log, positions in logs:
        if log.is_joined:
            numbers = tuple(range(len(starts), len(starts) + len(log.members)))
            joined.append(JoinedMembers(*log.key, numbers))
        members = zip(log.members, positions, strict=True)
        starts += [PartitionStart(*member, position) for member, position in members]
    version = FORMAT_VERSION if joined else ALONE
    return _encode(Header("recording", version, tuple(starts), tuple(joined)))


def merge_line(numbers: Sequence[int]) -> bytes:
    """The beginning of a segment that these partitions have records of."""
    return _encode(Line(p=numbers[0], merge=tuple(numbers)))


def done_line(number: int) -> bytes:
    """Partition `number` has no more records of the segment."""
    return _encode(Line(p=number, done=True))


def idle_line(number: int) -> bytes:
    """The others went on without partition `number`."""
    return _encode(Line(p=number, idle=True))


def record_line(number: int, record: Record) -> bytes:
    """One record of partition `number`."""
    return _encode(
        Line(
            p=number,
            o=record.offset,
            t=UNSET if record.timestamp == NO_TIME else record.timestamp // NS_PER_MS,
            k=UNSET if record.key is None else _text(record.key),
            h=tuple((name, None if value is None else _text(value)) for name, value in record.headers),
            v=None if record.value is None else _text(record.value),
        )
    )


def timer_line(number: int, timer_number: int, ts_ns: int) -> bytes:
    """One timer of partition `number`.

    Examples
    --------
    >>> timer_line(0, 3, 5_000)
    b'{"p":0,"tick":3,"ts":5000}'
    """
    return _encode(Line(p=number, tick=timer_number, ts=ts_ns))


def control_line(number: int, control: ControlInput) -> bytes:
    """One control input of partition `number`."""
    return _encode(Line(p=number, control=control.kind, data=control.data))


def record_of(line: Line) -> Record | None:
    """The record of a line, None if it holds none."""
    if line.o is UNSET or line.v is UNSET:
        return None
    return Record(
        offset=line.o,
        value=None if line.v is None else _bytes(line.v),
        timestamp=int(NO_TIME) if line.t is UNSET else line.t * NS_PER_MS,
        key=None if line.k is UNSET else _bytes(line.k),
        headers=tuple((name, None if value is None else _bytes(value)) for name, value in line.h),
    )


def timer_of(line: Line) -> tuple[int, int] | None:
    """Number and time of a line's timer, None if it holds none."""
    return None if line.tick is UNSET or line.ts is UNSET else (line.tick, line.ts)


def control_of(line: Line) -> ControlInput | None:
    """The control input of a line, None if it holds none.

    Raises
    ------
    ValueError, TypeError
        When its data is none.
    """
    if line.control is UNSET or line.data is UNSET:
        return None
    return ControlInput.parse(line.control, line.data)


def _text(data: bytes) -> str | Bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Bytes(data)


def _bytes(value: str | Bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value.b64
