"""The version of the fold: only code of the same version may follow a stored journal."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

FOLD_VERSION = 7
"""Increased whenever the same input may give different bits than before."""

_STORED = re.compile(r"(?P<package>\S+)\+fold(?P<fold>0|[1-9][0-9]{0,8})", re.ASCII)


class CodeVersion(NamedTuple):
    """The code that wrote a journal: its package version, for display, and its fold version, which decides.

    Examples
    --------
    >>> CodeVersion.parse("0.1.0+fold7")
    CodeVersion(package='0.1.0', fold=7)
    >>> str(CodeVersion.parse("0.1.0+fold7"))
    'tapewatch 0.1.0 with fold version 7'
    """

    package: str
    fold: int

    @classmethod
    def parse(cls, stored: str) -> CodeVersion | None:
        """Parse a text written by `code_version`; None for any other text.

        Examples
        --------
        >>> CodeVersion.parse("0.1.0") is None
        True
        """
        match = _STORED.fullmatch(stored)
        return None if match is None else cls(match["package"], int(match["fold"]))

    def __str__(self) -> str:
        return f"tapewatch {self.package} with fold version {self.fold}"


@cache
def own_version() -> CodeVersion:
    """The version of the running code; the package is ``0`` if it is not installed."""
    try:
        return CodeVersion(version("tapewatch"), FOLD_VERSION)
    except PackageNotFoundError:
        return CodeVersion("0", FOLD_VERSION)


def code_version() -> str:
    """The text stored beside every journal and checkpoint, such as ``0.1.0+fold7``."""
    own = own_version()
    return f"{own.package}+fold{own.fold}"
