"""A configuration file that has been read: its settings, and where in the text each of them stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from streamer.config import nodes, positions
from streamer.config.errors import ConfigError, Path, Problem, render_path
from streamer.config.nodes import Mapping, Node, Position, Scalar
from streamer.config.settings import Settings


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Settings with their text.

    Parameters
    ----------
    path
        The file as it was named.
    text
        What it holds.
    settings
        What that means.
    root
        The same as a tree with positions.
    warnings
        What can be used, but is hardly meant.
    """

    path: str
    text: str = field(repr=False)
    settings: Settings = field(repr=False)
    root: Node = field(repr=False)
    warnings: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, settings: Settings, name: str = "stored configuration") -> ConfigFile:
        """Settings without a text, such as those that a store remembers; problems then have no position."""
        return cls(name, "", settings, Mapping(Position(0, 0), {}, 1))

    def locate(self, path: Path, text_line: int = 1, text_column: int = 1) -> Position:
        """Where a place inside a setting's text stands in the file.

        Parameters
        ----------
        path
            The setting, such as ``("rules", "fat_finger", "when")``.
        text_line, text_column
            The place within the setting's text, from 1.

        Returns
        -------
        Position
            Of a setting that is not written in the file, the position of the nearest thing that is: for
            a rule of the catalogue ``extends``, else the parent's key.
        """
        if not self.text:
            return Position(0, 0)
        node = nodes.find(self.root, path)
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.text:
            return positions.locate(self.text, node, text_line, text_column)
        if node is None and path[:1] == ("rules",) and nodes.find(self.root, path[:2]) is None:
            return nodes.value_position(self.root, ("rules", "extends"))
        return nodes.position(self.root, path)

    def problem(self, path: Path, message: str, text_line: int = 1, text_column: int = 1) -> Problem:
        """A problem with the value of a setting, or with a place inside its text.

        Of a mapping or a list it is placed at what the message puts in quotes, where that is below it.
        """
        below = nodes.naming(self.root, path, message)
        path, position = below or (path, self.locate(path, text_line, text_column))
        return Problem(self.path, *position, render_path(path), message)

    def key_problem(self, path: Path, message: str) -> Problem:
        """A problem with a setting as a whole: placed at its key, or that of the nearest parent."""
        position = nodes.key_position(self.root, path) if self.text else Position(0, 0)
        return Problem(self.path, *position, render_path(path), message)

    def fail(self, problems: Iterable[Problem]) -> NoReturn:
        """Refuse the configuration for these problems.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(list(problems))
