"""The command line: one file per command."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from streamer.app.signals import INTERRUPTED, STOPPED_AT_START, ServiceSignals, ended_by_ctrl_c
from streamer.app.unblocked_output import UnblockedOutput
from streamer.cli.code_loading import loading
from streamer.cli.whole_output import whole_output


def main() -> None:
    """Run a command."""
    signals = ServiceSignals() if sys.argv[1:2] == ["run"] else None
    if signals is not None and sys.stderr is not None:  # None where it was started without one
        sys.stderr = UnblockedOutput(sys.stderr)
    try:
        with ended_by_ctrl_c() if signals is None else nullcontext(), loading():
            from streamer.cli.app import application

            app = application(sys.argv[1:])
        with whole_output():
            app(obj=signals)
    except BaseException:
        # what a signal raises may arrive as another error, having passed through code that is not Python
        if signals is None or not signals.stopped_at_start:
            raise
        sys.stderr.write(STOPPED_AT_START)
        sys.exit(INTERRUPTED if signals.interrupted else 0)
