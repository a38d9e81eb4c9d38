"""A YAML document as a tree that knows where each key and value stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from collections.abc import Sequence as SequenceType
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamer.config.errors import Path


class Position(NamedTuple):
    """A place in the text, both from 1; columns count characters."""

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
        ``""`` for a plain one, else ``'``, ``"``, ``|`` or ``>``.
    start, end
        Its part of the document, as character positions from 0.
    """

    position: Position
    value: bool | int | float | str | None
    text: str
    style: str
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many nodes this is."""
        return 1


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """One key of a mapping, and what it holds."""

    position: Position
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values; keys are always texts (``on:`` is the text "on")."""

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
    """The tree without positions: dicts, lists and values, new ones at each call."""
    if isinstance(node, Mapping):
        return {key: plain(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def child(node: Node, step: str | int) -> Node | None:
    """What is under one key or list position, None where there is no such thing."""
    if isinstance(node, Mapping) and isinstance(step, str):
        entry = node.entries.get(step)
        return None if entry is None else entry.node
    if isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def children(node: Node) -> Iterator[tuple[str | int, Node]]:
    """What is directly under a node, with its key or list position."""
    if isinstance(node, Mapping):
        yield from ((name, entry.node) for name, entry in node.entries.items())
    elif isinstance(node, Sequence):
        yield from enumerate(node.items)


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Every single value under a node, with its path."""
    if isinstance(node, Scalar):
        yield path, node
    for step, item in children(node):
        yield from scalars(item, (*path, step))


def find(root: Node, path: Path) -> Node | None:
    """The node at a path, None where the document has none."""
    node: Node | None = root
    for step in path:
        if node is None:
            return None
        node = child(node, step)
    return node


def value_position(root: Node, path: Path) -> Position:
    """Where the value at a path begins; of an empty value, or one that is not there, where its key stands."""
    node = find(root, path)
    if node is None or (isinstance(node, Scalar) and not node.text and not node.style):
        return key_position(root, path)
    return node.position


def key_position(root: Node, path: Path) -> Position:
    """Where the key at a path stands (of a list's item, the item), or the nearest parent's that is there."""
    node: Node = root
    found = Position(1, 1)
    for step in path:
        below = child(node, step)
        if below is None:
            break
        found = node.entries[str(step)].position if isinstance(node, Mapping) else below.position
        node = below
    return found


def position(root: Node, path: Path) -> Position:
    """Where a problem with a setting is: at a single value itself, at the key of a mapping or list."""
    return value_position(root, path) if isinstance(find(root, path), Scalar) else key_position(root, path)


def naming(root: Node, path: Path, message: str) -> tuple[Path, Position] | None:
    """What below a mapping or a list the message puts in quotes: its path, and where it stands.

    Of several such keys or values it is the last, since what is wrong with one of them is that it is
    there again. None where nothing below is called so.
    """
    quoted = _QUOTED.search(message)
    node = find(root, path)
    below = _named(node, quoted[1]) if quoted and node is not None else ()
    if not quoted or not below:
        return None
    found = (*path, *below)
    return found, (key_position if found[-1] == quoted[1] else value_position)(root, found)


def _named(node: Node, word: str) -> Path:
    found: Path = ()
    for step, item in children(node):
        if step == word or (isinstance(item, Scalar) and item.text == word):
            found = (step,)
        elif below := _named(item, word):
            found = (step, *below)
    return found
