"""How a mapping converts single values: by scale, map or pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.mapping_parts import NameFrom, map_key
from streamer.decoding.refusals import Refusal, brief
from streamer.decoding.value_parsing import as_text

_FILE_ENDINGS = re.compile(r"(\.(jsonl|ndjson|json|csv))?(\.(gz|zst))?$")


def factor_of(scale: float) -> tuple[float, bool]:
    """The factor to multiply numbers by or, if True, to divide them by.

    A scale such as 1e-9 is not an exact double but its inverse is: dividing by that rounds only once.

    >>> factor_of(1e-9), factor_of(100.0), factor_of(0.03)
    ((1000000000.0, True), (100.0, False), (0.03, False))
    """
    inverse = 1 / Decimal(repr(scale))
    divide = scale < 1 and inverse == inverse.to_integral_value() and float(inverse) == inverse
    return (float(inverse), True) if divide else (scale, False)


def mapped(value: object, table: Mapping[str, str], name: str) -> str | None:
    """Look up a value in a map; None for null and the empty string.

    Raises
    ------
    Refusal
        If it is not in the map.
    """
    if value is None or value == "":
        return None
    key = map_key(value)
    meaning = None if key is None else table.get(key)
    if meaning is None:
        raise Refusal(Reason.UNKNOWN_VALUE, f"{name}: {brief(value)} is not in the map")
    return meaning


def name_maker(given: NameFrom, name: str) -> Callable[[object], str | None]:
    """A function from a value to a symbol or venue, by pattern and map; it raises `Refusal`."""
    pattern = None if given.pattern is None else re.compile(given.pattern)
    table = given.map

    def make(value: object) -> str | None:
        text = as_text(value, name)
        if text is not None and pattern is not None:
            matched = pattern.match(text)
            text = None if matched is None else matched.group(1)
        return text if table is None else mapped(text, table, name)

    return make


def file_stem(file: str) -> str:
    """A file's name without its extensions.

    >>> file_stem("APPC_2020-11-18.csv.gz"), file_stem("BTC.USD.zst")
    ('APPC_2020-11-18', 'BTC.USD')
    """
    return _FILE_ENDINGS.sub("", file)
