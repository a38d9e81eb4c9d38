"""Turns errors that a user can fix into one line and an exit code; a traceback always is a bug."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from streamer.app.signals import INTERRUPTED
from streamer.cli.plain_lines import say_plainly
from streamer.cli.whole_output import UnreadOutputError, end_unread
from streamer.errors import TapewatchError

P = ParamSpec("P")


def guarded(command: Callable[P, None], *, logs: bool = True) -> Callable[P, None]:
    """The command, exiting with 1 or 2 and one line on an error, with 130 when interrupted.

    Parameters
    ----------
    command
        The command.
    logs
        Whether it may log anything; setting that up takes as long as loading all settings.
    """

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if logs:
            _set_up_logs()
        end_unread(sys.stderr)
        try:
            command(*args, **kwargs)
        except TapewatchError as error:
            say_plainly(*error.lines)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            say_plainly("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except UnreadOutputError:
            pass
        except BrokenPipeError as error:  # of anything else; typer would take it for output and say nothing
            raise RuntimeError("a connection was closed, and nobody saw to it") from error
        except Exception as error:
            if not _comes_of_ctrl_c(error):
                raise
            say_plainly("interrupted")
            raise typer.Exit(INTERRUPTED) from None

    return run


def _set_up_logs() -> None:
    from streamer.cli.logs import set_up_logs, set_up_tracebacks
    from streamer.config.settings import LogSettings

    set_up_logs(LogSettings(level="warning"))
    set_up_tracebacks()


def _comes_of_ctrl_c(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: modules that load may turn what it raises into another one."""
    at: BaseException | None = error
    seen = set[int]()
    while at is not None and id(at) not in seen:
        if isinstance(at, KeyboardInterrupt):
            return True
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return False
