"""A configuration file that has been read: its settings, and the position of each in the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from streamer.config import nodes, text_positions
from streamer.config.errors import ConfigError, Path, Problem, render_path
from streamer.config.nodes import Mapping, Node, Position, Scalar
from streamer.config.settings import Settings


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Settings with their text.

    Parameters
    ----------
    path
        The file, as the user named it.
    text
        Its text.
    settings
        The settings in it.
    root
        The text as a tree with positions.
    warnings
        Settings that are valid, but probably a mistake.
    """

    path: str
    text: str = field(repr=False)
    settings: Settings = field(repr=False)
    root: Node = field(repr=False)
    warnings: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, settings: Settings, name: str = "stored configuration") -> ConfigFile:
        """Settings without a text, such as those kept in a store; their problems have no position."""
        return cls(name, "", settings, Mapping(Position(0, 0), {}, 1))

    def locate(self, path: Path, text_line: int = 1, text_column: int = 1) -> Position:
        """The position in the file of a place inside a setting's text.

        Parameters
        ----------
        path
            The setting, such as ``("rules", "fat_finger", "when")``.
        text_line, text_column
            The place within the setting's text, from 1.

        Returns
        -------
        Position
            For a setting that is not in the file, the nearest position that is: ``extends`` for a rule of
            the catalogue, else the parent's key.
        """
        if not self.text:
            return Position(0, 0)
        node = nodes.find(self.root, path)
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.text:
            return text_positions.locate(self.text, node, text_line, text_column)
        if node is None and path[:1] == ("rules",) and nodes.find(self.root, path[:2]) is None:
            return nodes.value_position(self.root, ("rules", "extends"))
        return nodes.position(self.root, path)

    def problem(self, path: Path, message: str, text_line: int = 1, text_column: int = 1) -> Problem:
        """A problem with the value of a setting, or with a place inside its text.

        In a mapping or a list it is placed at the key or value that the message quotes, if there is one.
        """
        named = nodes.naming(self.root, path, message)
        path, position = named or (path, self.locate(path, text_line, text_column))
        return Problem(self.path, *position, render_path(path), message)

    def key_problem(self, path: Path, message: str) -> Problem:
        """A problem with a setting as a whole, placed at its key or that of the nearest parent."""
        position = nodes.key_position(self.root, path) if self.text else Position(0, 0)
        return Problem(self.path, *position, render_path(path), message)

    def fail(self, problems: Iterable[Problem]) -> NoReturn:
        """Refuse the configuration because of these problems.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(list(problems))
