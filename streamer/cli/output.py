"""Output: results on stdout, messages on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, RenderableType

if TYPE_CHECKING:
    from rich.progress import Progress


def out(result: RenderableType) -> None:
    """Print a result on stdout."""
    console = Console(soft_wrap=isinstance(result, str), highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 200  # a pipe has no width, which tables need
    console.print(result)


def say(text: str) -> None:
    """Print a message on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(text)


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
