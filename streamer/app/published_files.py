"""Event files as they are published: each record keyed by its instrument, all merged by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.formats import build_format
from streamer.decoding.member_order import highest_so_far
from streamer.messages.batch import Batch
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Record
from streamer.pipeline.admission import digits_of
from streamer.pipeline.compiling import UNSEEN, CompileView, shown
from streamer.pipeline.member_states import MemberClock
from streamer.sources.disorder import Disorder
from streamer.sources.files.file_records import FileInput, FileRecords, record_place
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.open_files import OpenFiles
from streamer.sources.kafka.publisher import Outgoing

_CHUNK_RECORDS = 500  # records decoded together to find their instruments and times
_CHUNKS_RECORDS, _LEAST_CHUNK = 16_000, 32  # of all files together, and of one
_ARENA_BYTES = 1 << 16


class PublishedFiles:
    """What files that are published together have in common.

    Parameters
    ----------
    count
        How many there are.
    max_ahead_ns
        How far their events may be out of order, ns.
    max_instruments
        How many instruments are followed at most.
    compiling
        Shows that kernels are being compiled.
    """

    def __init__(
        self, count: int, max_ahead_ns: int, max_instruments: int, compiling: CompileView = UNSEEN
    ) -> None:
        self.chunk = max(min(_CHUNKS_RECORDS // max(count, 1), _CHUNK_RECORDS), _LEAST_CHUNK)
        self.open_files = OpenFiles()
        self.compiling = compiling
        self._limits = max_ahead_ns, max_instruments

    def clock(self) -> MemberClock:
        """What follows the event times of one of them."""
        return MemberClock(*self._limits)


class PublishedFile:
    """One file's records, keyed by instrument and timed.

    A record's time is the newest receive time of the file so far; while no line had one, it is the newest
    event time, unless that was wrong and was refuted.

    Parameters
    ----------
    file
        The file.
    settings
        How it is read.
    together
        What it has in common with the others.

    Raises
    ------
    streamer.errors.TapewatchError
        When it cannot be read.
    """

    def __init__(self, file: FileInput, settings: FileSourceSettings, together: PublishedFiles) -> None:
        self.file = file
        self.disorder = Disorder()
        self._format = build_format(settings.format)
        self._context = DecodeContext(file.path.name, settings.venue, ignored=frozenset(settings.ignore))
        self._digits = digits_of(self._format)
        self._clock = together.clock()
        self._together = together
        self._highest = int(NO_TIME)
        self._key: bytes | None = None
        self._records = FileRecords(file, _ARENA_BYTES, together.open_files)
        self._first = self._chunk()

    @property
    def timed(self) -> bool:
        """Whether any of its first records has a time."""
        return any(record.time != NO_TIME for record in self._first)

    def __iter__(self) -> Iterator[Outgoing]:
        """The records, once; each with the key of the one before where it has none of its own."""
        chunk, self._first = self._first, []
        try:
            while chunk:
                yield from chunk
                chunk = self._chunk()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def unsorted(self) -> str:
        """Where its times go back, for people; empty where they do not."""
        if self.disorder.first is None:
            return ""
        return self.disorder.told(record_place(self.file, self.disorder.first))

    def _chunk(self) -> list[Outgoing]:
        with shown(self._together.compiling):
            records = self._records.take(self._together.chunk)
            if not records:
                return []
            batch = self._format.decode(records, self._context).batch
            times = self._times(records, batch).tolist()
        symbols: dict[int, bytes] = {}
        for row in range(len(batch) - 1, -1, -1):
            symbols[int(batch.offset[row])] = batch.instruments[batch.instrument[row]].symbol.encode()
        found = []
        for record, time in zip(records, times, strict=True):
            self._key = record.key or symbols.get(record.offset, self._key)
            found.append(Outgoing(record.timestamp, self._key, record.value, record.headers, at=time))
        return found

    def _times(self, records: Sequence[Record], batch: Batch) -> NDArray[np.int64]:
        """What each record is merged by, int64 ns."""
        offset = np.array([record.offset for record in records], np.int64)
        received = records.received if isinstance(records, RecordBlock) else np.full(len(offset), NO_TIME)
        times = highest_so_far(received, self._highest)
        self._highest = int(times[-1])
        timed = received != NO_TIME
        self.disorder.follow(offset[timed], received[timed])
        untimed = int(np.count_nonzero(times == NO_TIME))
        if untimed:
            first_row = np.searchsorted(batch.offset, offset)
            events = batch.take(np.arange(first_row[untimed] if untimed < len(offset) else len(batch)))
            before = self._clock.watermark
            now = np.append(before, self._clock.fold(events, self._digits))
            self.disorder.note(events.offset, now[1:] - events.ts)
            ends = np.append(first_row[1:], len(batch))[:untimed]
            believed = np.minimum.accumulate(now[ends][::-1])[::-1]  # one that was refuted is not
            times = np.concatenate([believed, times[untimed:]])
        return times
