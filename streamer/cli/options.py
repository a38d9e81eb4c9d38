"""Options shared by several commands, and functions that open what they name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.config_option import DEFAULT_CONFIG, Config
from streamer.config.file import ConfigFile
from streamer.config.load import load
from streamer.store.database import Database, open_store

__all__ = ["DEFAULT_CONFIG", "MOST", "Config", "Json", "Limit", "Store", "load_config", "open_named_store"]

MOST = 2**63 - 1
"""The largest number that a store knows."""

Store = Annotated[
    str | None,
    typer.Option("--store", help="The store; by default the configuration's."),
]
Limit = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=MOST, help="Show at most this many, the newest.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")]


def load_config(path: Path) -> ConfigFile:
    """Load the configuration; raises `ConfigError` with all its problems."""
    return load(path)


def open_named_store(config: Path, store: str | None) -> Database:
    """Open the named store, or else the configuration's; it must exist."""
    url = store if store is not None else load_config(config).settings.store
    return open_store(url, create=False)
