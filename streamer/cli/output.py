"""Output: results on stdout, messages on stderr. Nothing else of a command writes to a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from alerts.plain_text import one_line, safe_json
from alerts.receivers.console import print_alert
from alerts.receivers.receiver import Delivery
from alerts.receivers.safe_console import SafeConsole
from alerts.receivers.wrapping import wrapped
from streamer.cli.plain_lines import telling

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_KERNELS = 240  # about as many as a configuration with detectors has, which is what a full bar means


def out(result: RenderableType) -> None:
    """Print a result on stdout; a text is one line, whatever events have brought into it."""
    is_line = isinstance(result, str)
    console = SafeConsole(soft_wrap=is_line)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width, which tables need
    console.print(one_line(result) if isinstance(result, str) else result)


def out_json(document: object) -> None:
    """Print a document on stdout as one line of JSON; what is not printable is written as its number."""
    line = safe_json(json.dumps(document, ensure_ascii=False))
    try:
        line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(document)  # as JSON writes what a character set lacks
    SafeConsole(soft_wrap=True).print(line)


def out_text(text: str) -> None:
    """Print a text of our own on stdout, which may have several lines."""
    SafeConsole(soft_wrap=True).print(text)


def out_lines(lines: Sequence[str], indent: int) -> None:
    """Print lines on stdout, on a terminal wrapped between words with this indentation."""
    console = SafeConsole(soft_wrap=True)
    for line in map(one_line, lines):
        if not console.is_terminal:
            console.print(line)
            continue
        for part in wrapped(console.render_str(line), console.width, indent):
            console.print(part)


def out_alert(alert: Mapping[str, Any], behind_s: float | None = None) -> None:
    """Print a stored alert on a terminal's stdout, as the console receiver would; late ones are marked."""
    body = json.dumps(alert).encode()
    print_alert(SafeConsole(), Delivery(alert["id"], alert["number"], "console", body, behind_s=behind_s))


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return SafeConsole().is_terminal


def say(text: str) -> None:
    """Print a message on stderr: one line, whatever events have brought into it."""
    with telling():
        SafeConsole(stderr=True, soft_wrap=True).print(one_line(text))


def say_lines(lines: Iterable[str]) -> None:
    """Print messages on stderr, one a line."""
    for line in lines:
        say(line)


def progress_bar() -> Progress:
    """A progress bar on stderr; hidden if stderr is not a terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = SafeConsole(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class CompileBar:
    """Shows on stderr that kernels are compiled: a bar on a terminal, elsewhere a line, and one at the end.

    Parameters
    ----------
    bar
        Where to show it, among what else is shown there; by default a bar of its own.
    """

    def __init__(self, bar: Progress | None = None) -> None:
        self._bar = bar or progress_bar()
        self._is_own = bar is None
        self._task: TaskID | None = None

    def begin(self, processes: int) -> None:
        """Show it; see `streamer.pipeline.compiling.CompileView`."""
        from streamer.pipeline.compiling import kernels_are_kept

        if not kernels_are_kept():
            say(
                "preparing kernels, which takes about a minute at every start: they cannot be kept in "
                "their folder; set NUMBA_CACHE_DIR to one that can be written to"
            )
        elif self._bar.disable:
            say("preparing kernels (the first start compiles them, which may take half a minute)")
        note = f"in {processes} processes" if processes > 1 else ""
        self._task = self._bar.add_task("preparing kernels", total=_KERNELS, note=note)
        if self._is_own:
            self._bar.start()

    def compiled(self, count: int) -> None:
        """Move the bar on."""
        if self._task is not None:
            self._bar.advance(self._task, count)

    def end(self, seconds: float, ready: bool) -> None:
        """Take the bar away, and say how long it took, unless it was given up."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        if self._is_own:
            self._bar.stop()
        if ready:
            say(f"kernels ready after {seconds:.1f} s")
