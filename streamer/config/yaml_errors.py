"""Explains YAML syntax errors to people who do not know YAML's grammar."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError

from streamer.config.nodes import Position

_CANNOT_START = re.compile(r"found character '(.+)' that cannot start any token", re.DOTALL)
_KEY = re.compile(r":\s")
_EXPECTED = re.compile(r"expected '(.)' or '(.)'")


def explain_syntax(text: str, error: MarkedYAMLError) -> tuple[Position, str]:
    """Position and message for an error of YAML's scanner or parser."""
    problem = str(error.problem or error.context or "not YAML")
    context = str(error.context or "")
    at = _position(error.problem_mark) or _position(error.context_mark) or Position(1, 1)
    begin = _position(error.context_mark) or at
    lines = re.split(r"\r\n|\r|\n", text)
    before = lines[at.line - 1][: at.column - 1] if at.line <= len(lines) else ""
    here = lines[at.line - 1][at.column - 1 :] if at.line <= len(lines) else ""
    if "\t" in here[:1] or "found character '\\t'" in problem:
        return at, "a tab cannot indent or begin a value: use spaces"
    if match := _CANNOT_START.search(problem):
        return at, f"a text that begins with '{match[1]}' must be in quotes"
    if "unexpected end of stream" in problem:
        return begin, "this quote is never closed"
    if match := _EXPECTED.search(problem):
        opened = "list" if match[2] == "]" else "mapping"
        return _bracket(problem, begin, at, opened, match[2])
    if "could not find expected ':'" in problem:
        return begin, "a ':' is missing here (key: value)"
    if "mapping values are not allowed" in problem:
        if at.line > 1 and not _KEY.search(before) and lines[at.line - 2].strip():
            return (
                at,
                "this does not match the line above: a ':' is missing there, or the indentation is wrong",
            )
        return at, "a ':' is not allowed here: put the text in quotes, or correct the indentation"
    if "unknown escape character" in problem or context.startswith("while scanning a double-quoted"):
        return at, "this escape is not known in double quotes: double the '\\', or use single quotes"
    if before.rstrip().endswith(("}", "]")) and here.strip():
        return at, "there is text after the closing bracket: put a text with brackets in quotes"
    if before.rstrip().endswith(("'", '"')) and here.strip():
        return at, "there is text after the closing quote: put all of it in one pair of quotes"
    if "sequence entries" in problem:
        return at, "a list must begin on a new line: put this '- ' on the next line"
    if "<block end>" in problem or "<document start>" in problem:
        return at, "the indentation does not match the lines above"
    return at, f"not YAML: {problem}"


def _bracket(problem: str, begin: Position, at: Position, opened: str, closing: str) -> tuple[Position, str]:
    if "<stream end>" in problem or at.line > begin.line:
        return begin, f"this {opened} is never closed: '{closing}' is missing"
    return at, f"expected ',' or '{closing}' in the {opened} that begins at {begin.line}:{begin.column}"


def _position(mark: object) -> Position | None:
    line, column = getattr(mark, "line", None), getattr(mark, "column", None)
    return Position(line + 1, column + 1) if isinstance(line, int) and isinstance(column, int) else None
