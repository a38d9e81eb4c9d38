"""Reads a configuration file as far as a tree, without what it takes to check its settings."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import NoReturn

from streamer.config import nodes
from streamer.config.errors import ConfigError, Problem
from streamer.config.nodes import Mapping, Position
from streamer.config.yaml_tree import YamlError, parse

_MAX_BYTES = 1024 * 1024
"""A configuration has a few kilobytes; a larger file is the wrong one, and would take seconds to scan."""


def read_text(name: str) -> str:
    """The text of a configuration file.

    Raises
    ------
    ConfigError
        When it cannot be read, is too large or is no UTF-8.
    """
    try:
        with FilePath(name).open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        _refuse(name, "there is no such file")
    except IsADirectoryError:
        _refuse(name, "this is a folder: name the file in it")
    except OSError as error:
        _refuse(name, f"cannot be read: {error.strerror}")
    except ValueError:
        _refuse(name, "this is not a file name")
    if len(data) > _MAX_BYTES:
        limit = _MAX_BYTES // 1024 // 1024
        _refuse(name, f"larger than {limit} MB: this cannot be a configuration (is it the right file?)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8-sig", errors="replace")) + 1
        message = f"not UTF-8: the byte 0x{data[error.start]:02x} (save the file as UTF-8)"
        _refuse(name, message, Position(line, column))


def read_tree(text: str, name: str) -> Mapping:
    """The tree of a configuration's text; `name` stands for the file in messages.

    Raises
    ------
    ConfigError
        When it is no YAML that a configuration may be.

    Examples
    --------
    >>> read_tree("serve: {address: off}", "tape.yaml").entries["serve"].position.line
    1
    """
    try:
        root = parse(text)
    except YamlError as error:
        raise ConfigError([Problem(name, *at, "", message) for at, message in error.problems]) from error
    if root is None or (isinstance(root, nodes.Scalar) and root.value is None):
        _refuse(name, "the file is empty: it needs at least source and rules", Position(1, 1))
    if not isinstance(root, Mapping):
        _refuse(name, "a configuration consists of key: value lines", root.position)
    return root


def _refuse(name: str, message: str, position: Position = Position(0, 0)) -> NoReturn:  # noqa: B008 - immutable
    raise ConfigError([Problem(name, *position, "", message)])
