"""`tapewatch restore`: puts a backup in the place of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import out, say


def restore(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The backup, from `tapewatch backup`.")],
    config: Config = DEFAULT_CONFIG,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a store that is there, for good.")
    ] = False,
) -> None:
    """Put a backup in the place of the configuration's store; the daemon must not be running.

    Every file is compared with its checksum first. The next `run` goes on where the backup was: what was
    read since is read again from Kafka, and its alerts get the same ids. What may have been sent since counts
    as in doubt: Slack's bot and files are searched for it first, a webhook gets it again under its key, an
    incoming webhook may show it twice. An alert, `store_older`, says where each log goes on. Silences added
    since, and what else people did, are lost.

    Example: `tapewatch restore /backups/tapewatch-2026-01-31`
    """
    from streamer.app.store_backup import restore_backup

    settings = load_config(config).settings
    manifest = restore_backup(folder, settings.store, overwrite=overwrite)
    for log in manifest.logs:
        out(f"{log.topic}[{log.partition}]: goes on at offset {log.position:,}")
    say(f"{settings.store} is restored; start it with `tapewatch run`")
