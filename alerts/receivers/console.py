"""One line per transition on the terminal."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from alerts.clock import Clock
from alerts.plain_text import one_line
from alerts.receivers.body import read_body
from alerts.receivers.errors import ReceiverError
from alerts.receivers.kind import KindSettings, Probed, ReceiverKind
from alerts.receivers.receiver import Delivery, PermanentError, RetryableError
from alerts.receivers.wording import course, headline
from alerts.receivers.wrapping import wrapped
from alerts.secrets import Resolve

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_RESOLVED_STYLE = "green"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class ConsoleSettings(KindSettings):
    """One line per transition on standard error."""


class ConsoleReceiver:
    """Writes a readable line, coloured on a terminal. A line may repeat after a crash.

    Parameters
    ----------
    console
        Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> str:
        """Write the line.

        Raises
        ------
        PermanentError
            When the output has been closed, or its reader has gone.
        RetryableError
            When nobody takes what is written to it, or its disk is full.
        """
        self._check_written()
        if getattr(self._console.file, "is_stalled", False):
            raise RetryableError("console_stalled", everything=True)
        try:
            print_alert(self._console, delivery)
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise PermanentError("console_closed") from error
        self._check_written()
        return "written to standard error"

    def _check_written(self) -> None:
        """Ask a stream that raises nothing why the last line could not be written."""
        problem = getattr(self._console.file, "problem", None)
        if problem is not None and problem.errno in _FULL:
            raise RetryableError("console_full", everything=True) from problem
        if problem is not None:
            raise PermanentError("console_closed") from problem


def print_alert(console: Console, delivery: Delivery) -> None:
    """Print a transition: on a terminal wrapped between words to its width, elsewhere as one line.

    Parameters
    ----------
    console
        Where to print.
    delivery
        The transition.
    """
    line = alert_line(delivery, whole_time=not console.is_terminal)
    if console.is_terminal:
        for part in wrapped(line, console.width):
            console.print(part, soft_wrap=True)
    else:
        console.print(line, soft_wrap=True)


def alert_line(delivery: Delivery, *, whole_time: bool = True) -> Text:
    """One transition as a line: time (UTC), what it is, what it says, short id.

    Parameters
    ----------
    delivery
        The transition.
    whole_time
        RFC 3339 to the millisecond, and all on one line; False for month, day and seconds, and for a text of
        several lines as such.
    """
    from rich.text import Text

    alert = read_body(delivery)
    time = alert.ts_event if whole_time else f"{alert.ts_event[5:10]} {alert.ts_event[11:19]}Z"
    line = Text(f"{time} ", style="" if whole_time else "dim")
    line.append(
        f" {headline(alert, delivery)}", _RESOLVED_STYLE if alert.is_over else _STYLES[alert.severity]
    )
    first, *others = alert.text.split("\n")
    for said in (first, *others, course(alert), one_line(delivery.note)):
        if said:
            apart = "\n" if others and not whole_time else "  "
            line.append(f"{apart}{said}", "default")
    line.append(f"  {alert.short_id}", "dim")
    return line


def _build(name: str, settings: ConsoleSettings, resolve: Resolve, clock: Clock) -> ConsoleReceiver:
    from alerts.receivers.safe_console import SafeConsole

    return ConsoleReceiver(SafeConsole(stderr=True))


def _probe(name: str, settings: ConsoleSettings, resolve: Resolve, clock: Clock) -> Probed:
    stderr: TextIO | None = sys.stderr  # None where the process was started without one
    if stderr is None or stderr.closed:
        raise ReceiverError("standard error is closed: start tapewatch with one, or use `file`")
    return Probed("standard error")


RECEIVER = ReceiverKind("console", ConsoleSettings, _build, _probe, most_parallel=1)
