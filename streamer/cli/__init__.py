"""The command line: one file per command."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from streamer.app.signals import INTERRUPTED, STOPPED_AT_START, ServiceSignals, ended_by_ctrl_c
from streamer.cli.code_loading import loading


def main() -> None:
    """Run a command."""
    signals = ServiceSignals() if sys.argv[1:2] == ["run"] else None
    try:
        with ended_by_ctrl_c() if signals is None else nullcontext(), loading():
            from streamer.cli.app import application

            app = application(sys.argv[1:])
        app(obj=signals)
    except BaseException:
        # what a signal raises may arrive as another error, having passed through code that is not Python
        if signals is None or not signals.stopped_at_start:
            raise
        sys.stderr.write(STOPPED_AT_START)
        sys.exit(INTERRUPTED if signals.interrupted else 0)
