"""Writes a recording: reads again from Kafka what a daemon consumed, by its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Protocol

import structlog

from streamer.errors import TapewatchError
from streamer.messages.control_inputs import ControlInput
from streamer.messages.journal_entries import JournalEntry, MemberSpan, Segment
from streamer.messages.records import Partition, Record
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.range_reader import RangeReader
from streamer.sources.recording.recording_writer import RecordingWriter
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow

log = structlog.get_logger()

_AT_ONCE = 5_000  # offsets of a member


def write_recording(
    ledger: Ledger,
    settings: KafkaSettings,
    environ: Mapping[str, str],
    path: Path,
    progress: Callable[[int], None],
) -> tuple[int, int]:
    """Write a recording of every task of a store.

    Parameters
    ----------
    ledger
        The store, with the whole journal (``journal: {keep: all}``).
    settings, environ
        How Kafka is reached; where secrets may come from.
    path
        The file to write: ``.jsonl``, ``.jsonl.gz`` or ``.jsonl.zst``.
    progress
        Called after every record with the number written so far.

    Returns
    -------
    tuple
        How many records and timers were written.

    Raises
    ------
    TapewatchError
        When the journal was cut, or Kafka no longer has its records, since a topic was created anew, say.
    """
    ranges: dict[Partition, tuple[int, int]] = {}
    tasks = _tasks_with_journal(ledger, ranges)
    with (
        RangeReader(settings, ranges, environ=environ) as reader,
        RecordingWriter(path, [(row.log, row.positions) for row in tasks]) as out,
    ):
        recorder = Recorder(reader, out, progress)
        first = 0
        for row in tasks:
            for entry in ledger.journal_after(row.id, 0):
                recorder.write(row, first, entry)
            first += len(row.log.members)
        reader.require_same()  # else the file is not complete
    return recorder.records, recorder.timers


class RecordReader(Protocol):
    """Reads records of a partition again."""

    def read(self, partition: Partition, first: int, last: int) -> Iterable[Record]:
        """Those of a range of offsets, both ends included."""


class Recorder:
    """Writes journal entries, and what they consumed.

    Parameters
    ----------
    reader, out
        Where the records are, and where they go.
    progress
        Called after every record with the number written so far.
    """

    def __init__(self, reader: RecordReader, out: RecordingWriter, progress: Callable[[int], None]) -> None:
        self._reader = reader
        self._out = out
        self._progress = progress
        self.records = 0
        self.timers = 0

    def write(self, row: TaskRow, number: int, entry: JournalEntry) -> None:
        """Write one entry of a task whose first partition has this number in the recording."""
        if entry.kind == "batch":
            for segment in entry.segments:
                if row.log.is_joined:
                    self._out.merge([number + span.place for span in segment])
                    self._merged(row, number, segment)
                else:
                    self._records(row, number, segment[0])
        elif entry.kind == "tick":
            self._out.timer(number, entry.timer_number, entry.ts_ns)
            self.timers += 1
        elif entry.kind in ("quarantine", "lift"):
            self._out.control(number, ControlInput.parse(entry.kind, entry.data))
        elif entry.kind == "idle":
            self._out.idle(number + entry.place)
        elif entry.kind != "gap":
            _skip(row, entry)

    def _merged(self, row: TaskRow, number: int, segment: Segment) -> None:
        """The records of a segment by turns, so that a replay need not hold all of one to merge another's."""
        left = list(segment)
        while left:
            for span in left:
                self._records(row, number, span._replace(last=min(span.last, span.first + _AT_ONCE - 1)))
                if span.last < span.first + _AT_ONCE:
                    self._out.done(number + span.place)
            left = [span._replace(first=span.first + _AT_ONCE) for span in left]
            left = [span for span in left if span.first <= span.last]

    def _records(self, row: TaskRow, number: int, span: MemberSpan) -> None:
        for record in self._reader.read(row.source_log.members[span.place], span.first, span.last):
            self._out.record(number + span.place, record)
            self.records += 1
            self._progress(self.records)


def _tasks_with_journal(ledger: Ledger, ranges: dict[Partition, tuple[int, int]]) -> list[TaskRow]:
    """The tasks that have consumed anything; raises if a journal does not reach back to its beginning.

    The first and last offset that was read of each partition are noted in `ranges`.
    """
    tasks = []
    for row in ledger.tasks():
        if ledger.journal_is_cut(row.id):
            raise TapewatchError(
                f"the journal of {row} does not reach back to its beginning; set `journal: {{keep: all}}` "
                "before the daemon starts on a new store"
            )
        entries = ledger.journal_after(row.id, 0)
        if entries:
            tasks.append(row)
        for span in chain.from_iterable(segment for entry in entries for segment in entry.segments):
            member = row.source_log.members[span.place]
            first, last = ranges.get(member, (span.first, span.last))
            ranges[member] = min(first, span.first), max(last, span.last)
    if not tasks:
        raise TapewatchError("the store's journal is empty: nothing was consumed yet, or it was not kept")
    return tasks


def _skip(row: TaskRow, entry: JournalEntry) -> None:
    """Warn of a reload: a replay folds the whole recording with one configuration."""
    if entry.kind == "reload":
        log.warning(
            "the configuration changed here; a replay uses one for the whole recording",
            log=str(row),
            config=entry.data,
        )
    else:
        raise TapewatchError(
            f"the journal of {row} holds a {entry.kind!r} entry, which cannot be recorded yet"
        )
