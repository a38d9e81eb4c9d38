"""Options that several commands share, and how they open what those name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.config.file import ConfigFile
from streamer.config.load import load
from streamer.store.database import Database, open_store

DEFAULT_CONFIG = Path("tapewatch.yaml")

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="TAPEWATCH_CONFIG", help="The configuration file.", show_default=True
    ),
]
Store = Annotated[
    str | None,
    typer.Option("--store", help="The store to look into; by default the one the configuration names."),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show at most, the newest.")]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")]


def load_config(path: Path) -> ConfigFile:
    """The configuration, or a `ConfigError` that says where and what is wrong."""
    return load(path)


def open_named_store(config: Path, store: str | None) -> Database:
    """The store that is named, else the configuration's; it must be there already."""
    url = store if store is not None else load_config(config).settings.store
    return open_store(url, create=False)
