"""Checks a configuration without secrets, network or store."""

from __future__ import annotations

from os import PathLike

from streamer.config.file import ConfigFile
from streamer.config.load import load


def check(path: str | PathLike[str]) -> ConfigFile:
    """Load a configuration and compile its plan; secrets are not resolved.

    Raises
    ------
    ConfigError
        With all problems of the first stage that has any.
    """
    from streamer.pipeline.compile import compile_plan

    config = load(path)
    compile_plan(config)
    return config
