"""What a daemon consumed, read again from Kafka by its journal, as a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from streamer.errors import TapewatchError
from streamer.messages.journal_entries import JournalEntry
from streamer.messages.records import Partition
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.range_reader import RangeReader
from streamer.sources.recording.recording_writer import RecordingWriter
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow, base_incarnation

log = structlog.get_logger()


def record(
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
        How the broker is reached, and where its secrets are found.
    path
        The file to write: ``.jsonl``, also ``.gz`` or ``.zst``.
    progress
        Told after every record how many there are so far.

    Returns
    -------
    tuple
        How many records and timers were written.

    Raises
    ------
    TapewatchError
        When the journal was cut, or Kafka no longer has what it names.
    """
    tasks = _whole(ledger)
    logs = [_log_of(row) for row in tasks]
    with (
        RangeReader(settings, logs, environ=environ) as reader,
        RecordingWriter(path, [(row.partition, row.position) for row in tasks]) as out,
    ):
        records = timers = 0
        for number, row in enumerate(tasks):
            for entry in ledger.journal_after(row.id, 0):
                if entry.kind == "batch":
                    for found in reader.read(logs[number], entry.first, entry.last):
                        out.record(number, found)
                        records += 1
                        progress(records)
                elif entry.kind == "tick":
                    out.timer(number, entry.timer_number, entry.ts_ns)
                    timers += 1
                else:
                    _left_out(row, entry)
    return records, timers


def _whole(ledger: Ledger) -> list[TaskRow]:
    """The tasks that have consumed anything, with their journals from the beginning."""
    tasks = []
    for row in ledger.tasks():
        if ledger.journal_is_cut(row.id):
            raise TapewatchError(
                f"the journal of {row} does not reach back to its beginning; set `journal: {{keep: all}}` "
                "before the daemon starts on a new store"
            )
        if ledger.journal_after(row.id, 0):
            tasks.append(row)
    if not tasks:
        raise TapewatchError("the store's journal is empty: nothing was consumed yet, or it was not kept")
    return tasks


def _left_out(row: TaskRow, entry: JournalEntry) -> None:
    """A replay folds all of a recording under one configuration: say where the daemon did not."""
    if entry.kind == "reload":
        log.warning(
            "the configuration changed here; a replay takes one for all",
            topic=row.partition.topic,
            partition=row.partition.partition,
            config=entry.data,
        )
    elif entry.kind != "gap":
        raise TapewatchError(
            f"the journal of {row} holds a {entry.kind!r} entry, which cannot be recorded yet"
        )


def _log_of(row: TaskRow) -> Partition:
    return row.partition._replace(incarnation=base_incarnation(row.partition.incarnation))
