"""Output: results on stdout, messages on stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from alerts.receivers.console import print_alert
from alerts.receivers.receiver import Delivery
from alerts.receivers.wrapping import wrapped

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_KERNELS = 240  # about as many as a configuration with detectors has, which is what a full bar means


# events bring texts of any characters, and a terminal obeys some of them; line ends and tabs stay
_CONTROLS = dict.fromkeys((*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)), " ")


class _SafeConsole(Console):
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(text.translate(_CONTROLS) if self.is_terminal else text, **options)


def out(result: RenderableType) -> None:
    """Print a result on stdout."""
    console = _SafeConsole(soft_wrap=isinstance(result, str), highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width, which tables need
    console.print(result)


def out_lines(lines: Sequence[str], indent: int) -> None:
    """Print lines on stdout, on a terminal wrapped between words with this indentation."""
    console = _SafeConsole(soft_wrap=True, highlight=False, markup=False, emoji=False)
    for line in lines:
        if not console.is_terminal:
            console.print(line)
            continue
        for part in wrapped(console.render_str(line, markup=False, highlight=False), console.width, indent):
            console.print(part)


def out_alert(alert: Mapping[str, Any], behind_s: float | None = None) -> None:
    """Print a stored alert on a terminal's stdout, as the console receiver would; late ones are marked."""
    body = json.dumps(alert).encode()
    console = _SafeConsole(highlight=False, markup=False, emoji=False)
    print_alert(console, Delivery(alert["id"], alert["number"], "console", body, behind_s=behind_s))


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return _SafeConsole().is_terminal


def say(text: str) -> None:
    """Print a message on stderr."""
    _SafeConsole(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(text)


def progress_bar() -> Progress:
    """A progress bar on stderr; hidden if stderr is not a terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
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
