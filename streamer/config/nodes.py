"""A YAML document as a tree with the position of each key and value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from collections.abc import Sequence as SequenceType
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamer.config.errors import Path


class Position(NamedTuple):
    """A position in the text, both from 1; columns count characters."""

    line: int
    column: int


_QUOTED = re.compile(r"'([^']+)'")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value.

    Parameters
    ----------
    position
        Where it begins (its quote, or the ``|`` of a block).
    value
        None, bool, int, float or str.
    text
        The value as text, with quotes and escapes undone.
    style
        ``""`` for a plain scalar, else ``'``, ``"``, ``|`` or ``>``.
    start, end
        Its range in the document, as character offsets from 0.
    """

    position: Position
    value: bool | int | float | str | None
    text: str
    style: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """The number of nodes."""
        return 1


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """The position of a key, and its value."""

    position: Position
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values; keys are always strings (``on:`` is the string "on")."""

    position: Position
    entries: MappingType[str, MappingEntry]
    size: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    position: Position
    items: SequenceType[Node]
    size: int


Node = Scalar | Mapping | Sequence


def plain(node: Node) -> Any:
    """The tree without positions: new dicts, lists and values at each call."""
    if isinstance(node, Mapping):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def child(node: Node, step: str | int) -> Node | None:
    """The node under a key or list position, None if there is none."""
    if isinstance(node, Mapping) and isinstance(step, str):
        entry = node.entries.get(step)
        return None if entry is None else entry.node
    if isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def children(node: Node) -> Iterator[tuple[str | int, Node]]:
    """The direct children of a node, each with its key or list position."""
    if isinstance(node, Mapping):
        yield from ((name, entry.node) for name, entry in node.entries.items())
    elif isinstance(node, Sequence):
        yield from enumerate(node.items)


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """All scalars under a node, each with its path."""
    if isinstance(node, Scalar):
        yield path, node
    for step, item in children(node):
        yield from scalars(item, (*path, step))


def find(root: Node, path: Path) -> Node | None:
    """The node at a path, None if the document has none."""
    node: Node | None = root
    for step in path:
        if node is None:
            return None
        node = child(node, step)
    return node


def value_position(root: Node, path: Path) -> Position:
    """Where the value at a path begins; the position of its key if it is empty or absent."""
    node = find(root, path)
    if node is None or (isinstance(node, Scalar) and not node.text and not node.style):
        return key_position(root, path)
    return node.position


def key_position(root: Node, path: Path) -> Position:
    """The position of the key (or list item) at a path, or of the nearest parent that exists."""
    node: Node = root
    nearest = Position(1, 1)
    for step in path:
        below = child(node, step)
        if below is None:
            break
        nearest = node.entries[str(step)].position if isinstance(node, Mapping) else below.position
        node = below
    return nearest


def position(root: Node, path: Path) -> Position:
    """The position of a problem with a setting: a scalar itself, the key of a mapping or list."""
    return value_position(root, path) if isinstance(find(root, path), Scalar) else key_position(root, path)


def naming(root: Node, path: Path, message: str) -> tuple[Path, Position] | None:
    """The path and position of the key or value, below a mapping or list, that a message quotes.

    If there are several, the last one: the problem with it is that it is a repetition. None if there is none.
    """
    quoted = _QUOTED.search(message)
    node = find(root, path)
    relative = _last_named(node, quoted[1]) if quoted and node is not None else ()
    if not quoted or not relative:
        return None
    full = (*path, *relative)
    return full, (key_position if full[-1] == quoted[1] else value_position)(root, full)


def _last_named(node: Node, word: str) -> Path:
    last: Path = ()
    for step, item in children(node):
        if step == word or (isinstance(item, Scalar) and item.text == word):
            last = (step,)
        elif relative := _last_named(item, word):
            last = (step, *relative)
    return last
