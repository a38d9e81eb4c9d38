"""Where a configuration serves, for whoever needs to know nothing else of it."""

from __future__ import annotations

from os import PathLike, fspath

from pydantic import ValidationError

from streamer.config import nodes
from streamer.config.errors import ConfigError, Problem
from streamer.config.reading import read_text, read_tree
from streamer.config.serve_settings import ServeSettings


def served_address(path: str | PathLike[str]) -> str:
    """The setting `serve.address` of a configuration file, of which nothing else is checked.

    Raises
    ------
    ConfigError
        When the file or this setting cannot be read.
    """
    name = fspath(path)
    entry = read_tree(read_text(name), name).entries.get("serve")
    if entry is None:
        return ServeSettings().address
    try:
        return ServeSettings.model_validate(nodes.plain(entry.node) or {}).address
    except ValidationError as error:
        problem = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ConfigError([Problem(name, *entry.node.position, "serve", problem)]) from error
