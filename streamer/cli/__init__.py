"""The command line: one file per command."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext

from streamer.app.signals import INTERRUPTED, STOPPED_AT_START, ServiceSignals, ended_by_ctrl_c
from streamer.app.unblocked_output import UnblockedOutput
from streamer.cli.code_loading import loading
from streamer.cli.plain_lines import say_plainly
from streamer.cli.whole_output import unheard_output, whole_output


def main() -> None:
    """Run a command."""
    _fill_closed()
    signals = ServiceSignals() if sys.argv[1:2] == ["run"] else None
    if sys.stderr is not None:  # None where it was started without one
        sys.stderr = unheard_output(sys.stderr) if signals is None else UnblockedOutput(sys.stderr)
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
        say_plainly(STOPPED_AT_START)
        sys.exit(INTERRUPTED if signals.interrupted else 0)


def _fill_closed() -> None:
    """Give what the process was started without to nobody: else the next file that is opened takes its place.

    It would be written to by whatever writes to standard output and standard error by their numbers.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
