"""Writes a recording: reads again from Kafka what a daemon consumed, by its journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from streamer.errors import TapewatchError
from streamer.messages.control_inputs import ControlInput
from streamer.messages.journal_entries import JournalEntry
from streamer.messages.records import Partition
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.range_reader import RangeReader
from streamer.sources.recording.recording_writer import RecordingWriter
from streamer.store.ledger import Ledger
from streamer.store.task_rows import TaskRow, base_incarnation

log = structlog.get_logger()


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
        When the journal was cut, or Kafka no longer has its records.
    """
    tasks = _tasks_with_journal(ledger)
    logs = [_log_of(row) for row in tasks]
    with (
        RangeReader(settings, logs, environ=environ) as reader,
        RecordingWriter(path, [(row.partition, row.position) for row in tasks]) as out,
    ):
        records = timers = 0
        for number, row in enumerate(tasks):
            for entry in ledger.journal_after(row.id, 0):
                if entry.kind == "batch":
                    for record in reader.read(logs[number], entry.first, entry.last):
                        out.record(number, record)
                        records += 1
                        progress(records)
                elif entry.kind == "tick":
                    out.timer(number, entry.timer_number, entry.ts_ns)
                    timers += 1
                elif entry.kind in ("quarantine", "lift"):
                    out.control(number, ControlInput.parse(entry.kind, entry.data))
                else:
                    _skip(row, entry)
    return records, timers


def _tasks_with_journal(ledger: Ledger) -> list[TaskRow]:
    """The tasks that have consumed anything; raises if a journal does not reach back to its beginning."""
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


def _skip(row: TaskRow, entry: JournalEntry) -> None:
    """Warn of a reload: a replay folds the whole recording with one configuration."""
    if entry.kind == "reload":
        log.warning(
            "the configuration changed here; a replay uses one for the whole recording",
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
