"""The option that names the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("tapewatch.yaml")

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="TAPEWATCH_CONFIG", help="The configuration file.", show_default=True
    ),
]
