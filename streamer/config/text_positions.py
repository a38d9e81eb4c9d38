r"""Maps a place inside a scalar's text to its position in the file.

YAML folds lines, resolves escapes and strips indentation, so the two differ. But it changes only white space
and escapes: the n-th character that is not white space is the same on both sides, and the positions around it
follow from that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from streamer.config.nodes import Position, Scalar

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_SPACE_ESCAPES = frozenset("t\tnvr N_LP")
_HEX_LENGTHS = {"x": 2, "u": 4, "U": 8}


def locate(document: str, scalar: Scalar, text_line: int, text_column: int) -> Position:
    """The position in the document of a place inside `scalar.text` (line and column from 1).

    Exact for every character that is not white space, in every style of scalar; a place in white space or
    past the end is counted from the character before it.
    """
    text = scalar.text
    index = _index(text, text_line, text_column)
    raw = list(_solid(document, scalar))
    if not raw:
        return scalar.position
    before = sum(not char.isspace() for char in text[:index])
    if index < len(text) and not text[index].isspace():
        offset = raw[min(before, len(raw) - 1)][0]
    elif before:
        last = len(text[:index].rstrip())
        offset = raw[min(before, len(raw)) - 1][1] + index - last
    else:
        offset = raw[0][0]
    return advance(document, scalar.position, scalar.start, min(offset, len(document)))


def _index(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    line = min(max(line, 1), len(lines))
    column = min(max(column, 1), len(lines[line - 1]) + 1)
    return sum(len(previous) + 1 for previous in lines[: line - 1]) + column - 1


def _solid(document: str, scalar: Scalar) -> Iterator[tuple[int, int]]:
    """Start and end in the document of each character of the scalar that is not white space."""
    start = scalar.start
    if scalar.style == '"':
        yield from _double_quoted(document, start + 1, scalar.end - 1)
    elif scalar.style == "'":
        yield from _single_quoted(document, start + 1, scalar.end - 1)
    else:
        if scalar.style in ("|", ">"):
            header = _LINE_BREAK.search(document, start, scalar.end)
            start = scalar.end if header is None else header.end()
        for at in range(start, scalar.end):
            if not document[at].isspace():
                yield at, at + 1


def _single_quoted(document: str, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at < end:
        width = 2 if document[at] == "'" else 1
        if not document[at].isspace():
            yield at, at + width
        at += width


def _double_quoted(document: str, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at < end:
        width, space = _unit(document, at)
        if not space:
            yield at, at + width
        at += width


def _unit(document: str, at: int) -> tuple[int, bool]:
    """The width in the document of a character of a double-quoted scalar, and whether it is white space."""
    char = document[at]
    if char != "\\":
        return 1, char.isspace()
    letter = document[at + 1]
    if letter in _HEX_LENGTHS:
        width = 2 + _HEX_LENGTHS[letter]
        return width, chr(int(document[at + 2 : at + width], 16)).isspace()
    return 2, letter in _SPACE_ESCAPES or letter in "f\r\n"


def advance(document: str, position: Position, start: int, offset: int) -> Position:
    """The position of character `offset`, given that of character `start` before it."""
    breaks = list(_LINE_BREAK.finditer(document, start, offset))
    if not breaks:
        return Position(position.line, position.column + offset - start)
    return Position(position.line + len(breaks), offset - breaks[-1].end() + 1)
