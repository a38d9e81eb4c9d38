"""Turns what a person can put right into one line and an exit code; a traceback is a fault of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from streamer.cli.logs import set_up_logs
from streamer.cli.output import say
from streamer.config.settings import LogSettings
from streamer.errors import TapewatchError

INTERRUPTED = 130

_UNTIL_CONFIGURED = LogSettings(level="warning")

P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """The command, ending with 1 or 2 and one line where something is wrong, with 130 when interrupted."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        set_up_logs(_UNTIL_CONFIGURED)
        try:
            command(*args, **kwargs)
        except TapewatchError as error:
            say(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # whoever read our output has gone; there is nobody to tell, and nothing left to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return run
