"""Reads YAML: composes the events of ruamel.yaml's parser into a tree with positions.

Composing it here keeps every position, refuses what a configuration has no use for (tags, several documents,
repeated keys), and limits depth and size, so that no file can exhaust the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from streamer.config.errors import MAX_PROBLEMS
from streamer.config.nodes import Mapping, MappingEntry, Node, Position, Scalar, Sequence
from streamer.config.text_positions import advance
from streamer.config.yaml_errors import explain_syntax
from streamer.config.yaml_scalars import ScalarError, check_text, resolve

_MAX_DEPTH = 40
"""Levels of nesting; a configuration needs about eight."""
_MAX_NODES = 20_000
"""Number of values, aliases counted each time they are used, so that no file grows exponentially by them.

A large configuration has a thousand or two. Each costs the parser about 40 us.
"""
_TOO_MANY = (
    f"more than {_MAX_NODES:,} values in this file, aliases counted where they are used: "
    "no configuration needs them (is it the right file?)"
)
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")


class YamlError(Exception):
    """The text is not usable YAML; problems are (position, message), in order."""

    def __init__(self, problems: list[tuple[Position, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def parse(text: str) -> Node | None:
    """The tree of a YAML text, None if it is empty.

    Raises
    ------
    YamlError
        With all repeated keys and invalid values at once, or the first syntax error.

    Examples
    --------
    >>> from streamer.config.nodes import plain
    >>> plain(parse("on: {at: [1, 2]}"))
    {'on': {'at': [1, 2]}}
    """
    composer = _Composer(text)
    try:
        root = composer.document()
    except ReaderError as error:
        position = advance(text, Position(1, 1), 0, error.position)
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise YamlError([(position, f"the character U+{code:04X} cannot be used in YAML")]) from error
    except MarkedYAMLError as error:
        raise YamlError([*composer.problems, explain_syntax(text, error)]) from error
    except YAMLError as error:
        raise YamlError([(Position(1, 1), f"not YAML: {error}")]) from error
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF"
        raise YamlError([(Position(1, 1), f"not YAML: {error}")]) from error
    if composer.problems:
        raise YamlError(composer.problems)
    return root


class _Composer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[tuple[Position, str]] = []
        self.anchors: dict[str, Node] = {}
        self.count = 0
        self.events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self.problem(event, "a configuration is a single document: remove this one")
                    return root
                first = next(self.events)
                root = self.node(first, 0)
        return root

    def problem(self, where: Event | Position, message: str) -> None:
        self.problems.append((where if isinstance(where, Position) else _mark(where), message))
        if len(self.problems) > MAX_PROBLEMS:
            raise YamlError(self.problems)

    def node(self, event: Event, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            message = f"nested more than {_MAX_DEPTH} levels deep: no setting is, so a bracket may be missing"
            raise YamlError([(_mark(event), message)])
        self.count += 1
        if self.count > _MAX_NODES:
            raise YamlError([(_mark(event), _TOO_MANY)])
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if getattr(event, "tag", None) is not None:
            self.problem(event, "tags (!...) cannot be used here: put a text that begins with ! in quotes")
        node: Node
        if isinstance(event, MappingStartEvent):
            node = self.mapping(event, depth)
        elif isinstance(event, SequenceStartEvent):
            node = self.sequence(event, depth)
        else:
            node = self.scalar(event)
        if node.size > _MAX_NODES:
            raise YamlError([(node.position, _TOO_MANY)])
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor)
        if node is not None:
            return node
        position = _mark(event)
        self.problem(
            position, f"*{event.anchor} has no &{event.anchor} before it (quote a text that begins with *)"
        )
        return Scalar(position, None, "", "", event.start_mark.index, event.start_mark.index)

    def scalar(self, event: Any) -> Scalar:
        text, style = event.value, event.style or ""
        start, end = event.start_mark.index, event.end_mark.index
        properties = _PROPERTIES.match(self.text, start, end)
        begin = start if properties is None else properties.end()
        position = advance(self.text, _mark(event), start, begin)
        value: bool | int | float | str | None = None
        try:
            value = check_text(text) if style else resolve(text)
        except ScalarError as error:
            self.problem(position, str(error))
        return Scalar(position, value, text, style, begin, end)

    def sequence(self, start: Event, depth: int) -> Sequence:
        items: list[Node] = []
        size = 1
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                break
            item = self.node(event, depth + 1)
            items.append(item)
            size += item.size
        return Sequence(_mark(start), items, size)

    def mapping(self, start: Event, depth: int) -> Mapping:
        entries: dict[str, MappingEntry] = {}
        merged: dict[str, MappingEntry] = {}
        size = 1
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                break
            position = _mark(event)
            name = self.key(event, depth)
            node = self.node(next(self.events), depth + 1)
            size += node.size
            if name is None:
                continue
            if name == "<<" and not getattr(event, "style", None):
                self.merge(node, position, merged)
            elif name in entries:
                line = entries[name].position.line
                self.problem(position, f"the key '{name}' is repeated (first in line {line})")
            else:
                entries[name] = MappingEntry(position, node)
        return Mapping(_mark(start), {**merged, **entries} if merged else entries, size)

    def key(self, event: Event, depth: int) -> str | None:
        self.count += 1
        if isinstance(event, ScalarEvent) and (event.value or event.style):
            return self.scalar(event).text
        self.node(event, depth + 1)
        self.problem(event, "a key must be a text")
        return None

    def merge(self, node: Node, position: Position, merged: dict[str, MappingEntry]) -> None:
        sources = node.items if isinstance(node, Sequence) else (node,)
        for source in sources:
            if not isinstance(source, Mapping):
                self.problem(position, "<< takes a mapping, or a list of mappings")
                return
            for name, entry in source.entries.items():
                merged.setdefault(name, entry)


def _mark(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)
