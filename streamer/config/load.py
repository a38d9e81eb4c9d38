"""Reads a configuration file and checks its settings."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path as FilePath
from typing import NoReturn

from pydantic import ValidationError

from streamer.config import nodes
from streamer.config.consistency import check_settings
from streamer.config.errors import ConfigError, Problem, render_path
from streamer.config.file import ConfigFile
from streamer.config.misplaced_sets import sets_as_rules
from streamer.config.mistyped import mistyped
from streamer.config.nodes import Mapping, Node, Position
from streamer.config.settings import Settings
from streamer.config.validation_errors import Finding, explain_validation
from streamer.config.yaml_tree import YamlError, parse

_MAX_BYTES = 1024 * 1024
"""A configuration has a few kilobytes; a larger file is the wrong one, and would take seconds to scan."""


def load(path: str | PathLike[str]) -> ConfigFile:
    """Read and check a configuration file.

    Expressions, features and message texts are checked by `streamer.pipeline.compile.compile_plan`, secrets
    by `resolve_secrets`.

    Parameters
    ----------
    path
        The file; messages show its name as given.

    Raises
    ------
    ConfigError
        With all problems of the first stage that has any: reading, YAML, single settings, consistency.
    """
    name = fspath(path)
    return load_text(_read(name), name)


def load_text(text: str, name: str = "configuration") -> ConfigFile:
    """As `load`, for a text; `name` stands for the file in messages.

    Raises
    ------
    ConfigError
        As `load`.

    Examples
    --------
    >>> load_text("sorce: {}", "tape.yaml")
    Traceback (most recent call last):
    ...
    streamer.config.errors.ConfigError: tape.yaml:1:1: sorce: unknown key 'sorce' (did you mean 'source'?)
    """
    root = _tree(text, name)
    settings, findings, more = _settings(root, text)
    if settings is None or findings:
        problems = [Problem(name, *at, render_path(path), message) for at, path, message in findings]
        raise ConfigError(problems, more)
    config = ConfigFile(name, text, settings, root)
    problems, warnings = check_settings(config)
    if problems:
        config.fail(problems)
    return replace(config, warnings=tuple(sorted(warnings)))


def _settings(root: Node, text: str) -> tuple[Settings | None, list[Finding], int]:
    """The settings, None if any is invalid; problems with them; and how many others there are."""
    findings = sets_as_rules(root)
    misplaced = {path for _, path, _ in findings}
    settings, more = None, 0
    try:
        settings = Settings.model_validate(nodes.plain(root))
    except ValidationError as error:
        explained, more = explain_validation(error, root, text, Settings)
        findings += [finding for finding in explained if finding[1][:2] not in misplaced]
    reported = {path for _, path, _ in findings}
    findings += [finding for finding in mistyped(root, text, Settings) if finding[1] not in reported]
    return settings, findings, more


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


def _tree(text: str, name: str) -> Node:
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
