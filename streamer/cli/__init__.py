"""The command line: one file per command."""

from __future__ import annotations

import sys

from streamer.cli.code_loading import loading


def main() -> None:
    """Run a command."""
    with loading():
        from streamer.cli.app import application

        app = application(sys.argv[1:])
    app()
