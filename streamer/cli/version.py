"""The options of `tapewatch` itself."""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.messages.fold_version import code_version


def _print(wanted: bool) -> None:
    if wanted:
        from streamer.cli.output import out  # not needed by who asks for health

        out(f"tapewatch {code_version()}")
        raise typer.Exit


def show_version(
    version: Annotated[
        bool, typer.Option("--version", callback=_print, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""
    del version
