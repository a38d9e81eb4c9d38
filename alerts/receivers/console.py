"""One line per transition on the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from alerts.clock import Clock
from alerts.receivers.body import one_line, read_body
from alerts.receivers.receiver import Delivery, PermanentError
from alerts.receivers.settings import ConsoleSettings
from alerts.secrets import Resolve

_STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_RESOLVED_STYLE = "green"


class ConsoleReceiver:
    """Writes a readable line, coloured where the output is a terminal; a line may repeat after a crash.

    Parameters
    ----------
    console
        Where to write.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Write the line.

        Raises
        ------
        PermanentError
            When nobody reads the output any more.
        """
        try:
            self._console.print(alert_line(delivery), soft_wrap=True)
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise PermanentError("console_closed") from error


def alert_line(delivery: Delivery) -> Text:
    """One transition as a line for a terminal."""
    shown = read_body(delivery)
    style = _RESOLVED_STYLE if shown.transition == "resolved" else _STYLES[shown.severity]
    line = Text(one_line(f"{shown.ts_event}  "))
    goes_on = " (goes on)" if shown.transition == "updated" else ""
    line.append(one_line(shown.headline + goes_on), style=style)
    if shown.text:
        line.append(one_line(f"  {shown.text}"))
    line.append(one_line(f"  {delivery.key}"), style="dim")
    return line


class _StderrConsole(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process here
        raise BrokenPipeError


def console(name: str, settings: ConsoleSettings, resolve: Resolve, clock: Clock) -> ConsoleReceiver:
    """Build the receiver that writes to standard error."""
    return ConsoleReceiver(_StderrConsole(stderr=True))
