"""From a file's name to checked settings."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path as FilePath
from typing import NoReturn

from pydantic import ValidationError

from streamer.config import nodes
from streamer.config.catalogue import sets_as_rules
from streamer.config.checks import check_settings
from streamer.config.errors import ConfigError, Problem, render_path
from streamer.config.explain import Found, explain
from streamer.config.file import ConfigFile
from streamer.config.nodes import Mapping, Node, Position
from streamer.config.settings import Settings
from streamer.config.strict import mistaken
from streamer.config.yaml import YamlError, parse

_MAX_BYTES = 1024 * 1024
"""A configuration is some kilobytes; more than this is the wrong file, and would take seconds to scan."""


def load(path: str | PathLike[str]) -> ConfigFile:
    """Read and check a configuration file.

    What it says of expressions, features and texts is checked by compiling the plan, and secrets by
    `resolve_secrets`; `streamer.app.config_check` does the first as well.

    Parameters
    ----------
    path
        The file's name; messages show it as given.

    Raises
    ------
    ConfigError
        With all problems of the first stage that has any: reading, YAML, single settings, and how settings
        fit together.
    """
    name = fspath(path)
    return load_text(_read(name), name)


def load_text(text: str, name: str = "configuration") -> ConfigFile:
    """`load` for a text that is already at hand; `name` stands for the file in messages.

    Raises
    ------
    ConfigError
        As `load` does.

    Examples
    --------
    >>> load_text("sorce: {}", "tape.yaml")
    Traceback (most recent call last):
    ...
    streamer.config.errors.ConfigError: tape.yaml:1:1: sorce: unknown key 'sorce' (did you mean 'source'?)
    """
    root = _tree(text, name)
    settings, found = _settings(root, text)
    if settings is None or found:
        raise ConfigError([Problem(name, *at, render_path(path), words) for at, path, words in found])
    config = ConfigFile(name, text, settings, root)
    problems, warnings = check_settings(config)
    if problems:
        config.fail(problems)
    return replace(config, warnings=tuple(sorted(warnings)))


def _settings(root: Node, text: str) -> tuple[Settings | None, list[Found]]:
    """The settings, where each single one is right, and everything that is wrong with them."""
    found = sets_as_rules(root)
    meant = {path for _, path, _ in found}
    settings = None
    try:
        settings = Settings.model_validate(nodes.plain(root))
    except ValidationError as error:
        found += [one for one in explain(error, root, text, Settings) if one[1][:2] not in meant]
    said = {path for _, path, _ in found}
    found += [one for one in mistaken(root, text, Settings) if one[1] not in said]
    return settings, found


def _read(name: str) -> str:
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
        _refuse(name, "this is not the name of a file")
    if len(data) > _MAX_BYTES:
        _refuse(name, f"larger than {_MAX_BYTES // 1024 // 1024} MB: this is hardly a configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8-sig", errors="replace")) + 1
        message = f"not UTF-8: the byte 0x{data[error.start]:02x} (save the file as UTF-8)"
        _refuse(name, message, Position(line, column))


def _tree(text: str, name: str) -> Node:
    try:
        root = parse(text)
    except YamlError as error:
        raise ConfigError([Problem(name, *at, "", words) for at, words in error.problems]) from error
    if root is None or (isinstance(root, nodes.Scalar) and root.value is None):
        _refuse(name, "the file is empty: it needs at least source and rules", Position(1, 1))
    if not isinstance(root, Mapping):
        _refuse(name, "a configuration is made of key: value lines", root.position)
    return root


def _refuse(name: str, message: str, position: Position = Position(0, 0)) -> NoReturn:  # noqa: B008 - immutable
    raise ConfigError([Problem(name, *position, "", message)])
