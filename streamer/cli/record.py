"""`tapewatch record`: writes what the daemon consumed to a file that `replay` folds to the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import progress_bar, say
from streamer.errors import UsageError

_PROGRESS_EVERY = 1_000  # records between two updates of the progress bar


def record(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The recording to write: .jsonl, .jsonl.gz or .jsonl.zst.")
    ],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Write what the daemon consumed to a file, in the same order and with its timers.

    `tapewatch replay` turns a recording into the same alerts and scores, bit for bit. The daemon must have
    run with `journal: {keep: all}` since its store was new, and Kafka must still have the records.

    Example: `tapewatch record -c binance.yaml -o monday.jsonl.zst`
    """
    from streamer.app.write_recording import write_recording
    from streamer.notify.clock import SystemClock
    from streamer.store.database import open_store
    from streamer.store.ledger import Ledger

    settings = load_config(config).settings
    if settings.source.kafka is None:
        raise UsageError(f"{config}: `record` reads the records again from Kafka: give source.kafka")
    ledger = Ledger(open_store(settings.store, create=False), SystemClock())
    with progress_bar() as bar:
        task = bar.add_task("recording", total=None, note="")

        def progress(records: int) -> None:
            if records % _PROGRESS_EVERY == 0:
                bar.update(task, note=f"{records:,} records")

        records, timers = write_recording(ledger, settings.source.kafka, os.environ, output, progress)
    say(f"{output}: {records:,} records, {timers:,} timers")
