"""The pages under docs/, taken apart: code blocks, tables, words that stand as code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = (
    "rules",
    "episodes",
    "features",
    "configuration",
    "delivery",
    "alerts",
    "commands",
    "safety-valves",
    "metrics",
    "drift",
)
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in NAMES}

_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language; an empty one stands for output of commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)
    return [code for written_in, code in found if written_in == language]


def section(page: str, heading: str) -> str:
    """What stands between a heading and the next one; an empty heading is the page's beginning."""
    text = PAGES[page]
    found = re.search(rf"^#+ {re.escape(heading)}$" if heading else "^# .*$", text, re.MULTILINE)
    assert found is not None, f"{page}.md has no heading {heading!r}"
    rest = text[found.end() :]
    # a `#` within a code block is a comment
    blank = _CODE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), rest)
    following = _HEADING.search(blank)
    return rest[: following.start()] if following else rest


def table(page: str, heading: str, number: int = 0) -> list[list[str]]:
    """The rows of one of a section's tables, by cells, without its first row and the line below it."""
    runs = re.findall(r"(?:^\|.*\n?)+", section(page, heading), re.MULTILINE)
    lines = runs[number].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def coded(text: str) -> list[str]:
    """What stands in backticks, code blocks aside."""
    return re.findall(r"`([^`]+)`", _CODE.sub("", text).replace("\n", " "))


def words(text: str) -> set[str]:
    """Every word that stands in backticks, alone or among others."""
    return {word for piece in coded(text) for word in piece.split()}


def anchors(path: Path) -> set[str]:
    """What links to a page may have after `#`."""
    headings = _HEADING.findall(_CODE.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Each link to a file of the repository: where it leads, and its anchor."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield ((path.parent / file).resolve() if file else path), anchor
