"""The one way in which text reaches a terminal: nothing in it can steer it, or deceive who reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from alerts.plain_text import one_line, several_lines


class SafeConsole(Console):
    r"""A console that shows what is not printable by its number, wherever it comes from.

    It knows no markup, no emoji codes and no highlighting: events could bring them. Line breaks stay, so
    whoever prints text of an event makes one line of it first (`alerts.plain_text.one_line`), as `LineTable`
    does of its cells.

    Examples
    --------
    >>> import io
    >>> written = io.StringIO()
    >>> SafeConsole(file=written).print("ACME\x1b[2J [red]\u202e", Text("\x9b1A"))
    >>> written.getvalue()
    'ACME\\x1b[2J [red]\\u202e \\x9b1A\n'
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def on_broken_pipe(self) -> None:
        """Raise the error at hand: rich would end the process here, with exit code 1."""
        raise  # noqa: PLE0704 rich calls this where it handles the error

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is shown; tabs and bells, too, which rich would drop or obey."""
        return super().render_str(several_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written for anything, its texts made safe; the console's own controls stay."""
        for segment in super().render(renderable, options):
            if segment.control or (segment.text.isascii() and segment.text.isprintable()):
                yield segment
            else:
                yield Segment(several_lines(segment.text), segment.style)


class LineTable(Table):
    r"""A table without lines around it, whose cells are one line each, whatever is in them.

    Parameters
    ----------
    columns
        Their headings.
    options
        As for `rich.table.Table`.

    Examples
    --------
    >>> table = LineTable("rule", "symbol")
    >>> table.add_row("fat_finger", "AC\nME")
    >>> list(table.columns[1].cells)
    ['AC\\nME']
    """

    def __init__(self, *columns: str, **options: Any) -> None:
        super().__init__(**{"box": None, "pad_edge": False, **options})
        for column in columns:
            self.add_column(column, overflow="fold")

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        shown = [one_line(cell) if isinstance(cell, str) else cell for cell in cells]
        super().add_row(*shown, **options)
