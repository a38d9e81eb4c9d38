"""A configuration checked as far as it can be without touching the world."""

from __future__ import annotations

from os import PathLike

from streamer.config.file import ConfigFile
from streamer.config.load import load


def check(path: str | PathLike[str]) -> ConfigFile:
    """Load a configuration and compile its plan; secrets are not looked at.

    Raises
    ------
    ConfigError
        With all problems of the first stage that has any.
    """
    from streamer.pipeline.compile import compile_plan  # it reads configurations itself

    config = load(path)
    compile_plan(config)
    return config
