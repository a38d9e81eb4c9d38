"""One line per transition on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alerts.clock import Clock
from alerts.receivers.body import one_line, read_body
from alerts.receivers.kind import KindSettings, ReceiverKind
from alerts.receivers.receiver import Delivery, PermanentError
from alerts.secrets import Resolve

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
_RESOLVED_STYLE = "green"


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

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Write the line.

        Raises
        ------
        PermanentError
            When the output has been closed.
        """
        try:
            self._console.print(alert_line(delivery), soft_wrap=True)
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise PermanentError("console_closed") from error


def alert_line(delivery: Delivery) -> Text:
    """One transition as a line for a terminal."""
    from rich.text import Text

    alert = read_body(delivery)
    style = _RESOLVED_STYLE if alert.transition == "resolved" else _STYLES[alert.severity]
    line = Text(one_line(f"{alert.ts_event}  "))
    goes_on = " (goes on)" if alert.transition == "updated" else ""
    line.append(one_line(alert.headline + goes_on), style=style)
    if alert.text:
        line.append(one_line(f"  {alert.text}"))
    line.append(one_line(f"  {delivery.key}"), style="dim")
    return line


def _build(name: str, settings: ConsoleSettings, resolve: Resolve, clock: Clock) -> ConsoleReceiver:
    from rich.console import Console

    class StderrConsole(Console):
        def on_broken_pipe(self) -> None:
            # rich would end the process here
            raise BrokenPipeError

    return ConsoleReceiver(StderrConsole(stderr=True))


RECEIVER = ReceiverKind("console", ConsoleSettings, _build, most_parallel=1)
