"""What a daemon consumed, read again from Kafka by its journal, as a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from streamer.errors import TapewatchError
from streamer.sources.contract import Partition
from streamer.sources.kafka_reader import RangeReader
from streamer.sources.kafka_settings import KafkaSettings
from streamer.sources.recording import header_line, open_recording, record_line, tick_line
from streamer.store.ledger import Ledger, TaskRow, base_incarnation


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
        How many records and ticks were written.

    Raises
    ------
    TapewatchError
        When the journal was cut, or Kafka no longer has what it names.
    """
    tasks = [row for row in ledger.tasks() if ledger.journal_after(row.id, 0)]
    if not tasks:
        raise TapewatchError("the store's journal is empty: nothing was consumed yet, or it was not kept")
    for row in tasks:
        if ledger.journal_is_cut(row.id):
            raise TapewatchError(
                f"the journal of {row.partition.topic}[{row.partition.partition}] does not reach back to its "
                "beginning; set `journal: {keep: all}` before the daemon starts on a new store"
            )
    with open_recording(path) as out, RangeReader(
        settings, [_log_of(row) for row in tasks], environ=environ
    ) as reader:
        out.write(header_line([(row.partition, row.position) for row in tasks]) + b"\n")
        records = ticks = 0
        for number, row in enumerate(tasks):
            records, ticks = _write_task(ledger, reader, out, number, row, (records, ticks), progress)
    return records, ticks


def _log_of(row: TaskRow) -> Partition:
    return row.partition._replace(incarnation=base_incarnation(row.partition.incarnation))


def _write_task(
    ledger: Ledger,
    reader: RangeReader,
    out: IO[bytes],
    number: int,
    row: TaskRow,
    done: tuple[int, int],
    progress: Callable[[int], None],
) -> tuple[int, int]:
    records, ticks = done
    for entry in ledger.journal_after(row.id, 0):
        if entry.kind == "batch":
            for found in reader.read(_log_of(row), entry.first, entry.last):
                out.write(record_line(number, found) + b"\n")
                records += 1
                progress(records)
        elif entry.kind == "tick":
            out.write(tick_line(number, entry.tick_number, entry.ts_ns) + b"\n")
            ticks += 1
    return records, ticks
