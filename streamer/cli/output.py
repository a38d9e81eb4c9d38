"""Output: results on stdout, messages on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress


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
