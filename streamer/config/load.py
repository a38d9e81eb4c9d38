"""Reads a configuration file and checks its settings."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike, fspath

from pydantic import ValidationError

from streamer.config import nodes
from streamer.config.consistency import check_settings
from streamer.config.errors import ConfigError, Problem, render_path
from streamer.config.file import ConfigFile
from streamer.config.misplaced_sets import sets_as_rules
from streamer.config.mistyped import mistyped
from streamer.config.nodes import Node
from streamer.config.reading import read_text, read_tree
from streamer.config.settings import Settings
from streamer.config.validation_errors import Finding, explain_validation


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
    return load_text(read_text(name), name)


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
    root = read_tree(text, name)
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
