"""The command line: one file per command."""

from __future__ import annotations

import sys

from streamer.app.signals import ServiceSignals, StopRequested
from streamer.cli.code_loading import loading


def main() -> None:
    """Run a command."""
    signals = ServiceSignals() if sys.argv[1:2] == ["run"] else None
    try:
        with loading():
            from streamer.cli.app import application

            app = application(sys.argv[1:])
        app(obj=signals)
    except StopRequested:
        sys.stderr.write("stopped before it was at work\n")
