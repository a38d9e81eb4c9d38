"""Long lines on a terminal, parted between words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

_WIDEST = 2  # columns of a character
_WORD = re.compile(r"\n|\S+")


def wrapped(line: Text, width: int, indent: int = 4) -> list[Text]:
    """A line as several that fit the width: parted between words, all but the first indented.

    Parameters
    ----------
    line
        With its styles; a line break in it begins another line in any case.
    width
        Columns of the terminal, two at the least. A word wider than what is left beside the indentation is
        parted itself.
    indent
        Columns by which lines are indented; less than half of the width.

    Examples
    --------
    >>> from rich.text import Text
    >>> [part.plain for part in wrapped(Text("01-05  CRITICAL fat_finger  one trade of 69"), 25)]
    ['01-05  CRITICAL', '    fat_finger  one trade', '    of 69']
    """
    from rich.cells import cell_len, chop_cells
    from rich.text import Text

    width = max(width, _WIDEST)
    margin = " " * min(indent, (width - 1) // 2)
    lines, at = [Text()], 0
    for found in _WORD.finditer(line.plain):
        space, start = line[at : found.start()], found.start()
        at = found.end()
        if found[0] == "\n":
            lines.append(Text(margin))
            continue
        is_begun = bool(lines[-1].plain.strip())
        fits = lines[-1].cell_len + space.cell_len + cell_len(found[0]) <= width
        if fits if is_begun else len(lines) == 1:
            lines[-1] += space
        elif is_begun:
            lines.append(Text(margin))
        room = width - max(lines[-1].cell_len, len(margin))
        for number, piece in enumerate(chop_cells(found[0], max(room, 1))):
            if number:
                lines.append(Text(margin))
            lines[-1] += line[start : start + len(piece)]
            start += len(piece)
    return lines
