"""Sizes written as an integer and a unit: ``500MiB``, ``1GiB``."""

from __future__ import annotations

import re

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PATTERN = re.compile(r"([0-9]{1,9})(KiB|MiB|GiB|TiB)")


def size_bytes(text: str) -> int:
    """Bytes in a size such as ``1GiB``.

    Raises
    ------
    ValueError
        When the text is not a size; the message says how to write one.

    Examples
    --------
    >>> size_bytes("2KiB")
    2048
    >>> size_bytes("1 GB")
    Traceback (most recent call last):
        ...
    ValueError: '1 GB' is not a size: write an integer and KiB, MiB, GiB or TiB, such as 1GiB
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size: write an integer and KiB, MiB, GiB or TiB, such as 1GiB")
    return int(match[1]) * _UNITS[match[2]]
