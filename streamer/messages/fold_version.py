"""The version of the fold: what a stored journal must be folded with."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

FOLD_VERSION = 3
"""Raised whenever the same input may give other bits than before."""


@cache
def code_version() -> str:
    """The version that is written beside every journal, such as ``0.1.0+fold1``."""
    try:
        package = version("tapewatch")
    except PackageNotFoundError:
        package = "0"
    return f"{package}+fold{FOLD_VERSION}"
