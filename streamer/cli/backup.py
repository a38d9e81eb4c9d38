"""`tapewatch backup`: copies the store and its checkpoints as they are at one moment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import out, say


def backup(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Where it goes: a new folder, or an empty one."),
    ],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Copy the store and its checkpoints, as they are at one moment, into a folder.

    It may run beside the daemon: no commit waits for it. The folder gets the database, the checkpoint files
    that belong to it, and `manifest.json` with the checksum of each, which is written last. Whoever can read
    the folder can read market data and alerts; whoever can write to it can run code where it is restored.

    Example: `tapewatch backup /backups/tapewatch-$(date +%F)`
    """
    from streamer.app.store_backup import make_backup

    manifest = make_backup(load_config(config).settings.store, folder)
    for log in manifest.logs:
        out(f"{log.topic}[{log.partition}]: read to offset {log.position:,}")
    size = sum(file.size for file in manifest.files)
    say(f"{folder}: {len(manifest.files)} files, {size / (1 << 20):,.1f} MiB")
