"""The requested fields, and the flat arrays that describe them to the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.json.plan_layout import DECIMAL, FLAG, INTEGER, NUMBER, TEXT, object_target

FieldType = Literal["number", "decimal", "integer", "text", "flag"]

MOST_FIELDS = 62
DEEPEST_PATH = 8
_MOST_OBJECTS = 62
_KINDS: dict[FieldType, int] = {
    "number": NUMBER,
    "decimal": DECIMAL,
    "integer": INTEGER,
    "text": TEXT,
    "flag": FLAG,
}
_NAN = int(np.array([np.nan]).view(np.int64)[0])
_DEFAULTS: dict[FieldType, tuple[int, ...]] = {
    "number": (_NAN,),
    "decimal": (_NAN,),
    "integer": (0,),
    "text": (0, -1),
    "flag": (0,),
}
"""The columns' content where a field is not present; a text has two columns."""


@dataclass(frozen=True, slots=True)
class JsonField:
    """A value requested from each row.

    Parameters
    ----------
    path
        The keys that lead to it, outermost first.
    type
        ``"number"``: a JSON number, as float64. ``"decimal"``: a JSON number, or a JSON string that
        contains one, as float64. ``"integer"``: a JSON number without fraction and exponent, as int64.
        ``"text"``: a JSON string, as a position in the arena. ``"flag"``: true or false.

    Examples
    --------
    >>> JsonField(("data", "p"), "decimal")
    JsonField(path=('data', 'p'), type='decimal')
    """

    path: tuple[str, ...]
    type: FieldType


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """Fields in the form the kernel takes.

    Attributes
    ----------
    names
        uint8: the keys' UTF-8, concatenated.
    keys
        int64[k, 4], one object's keys adjacent: the first 8 bytes as a word, the size in bytes, the position
        in `names`, and the target (see `streamer.decoding.json.plan_layout.UNWANTED`).
    objects
        int64[o, 3]: an object's first key, the key after its last one, and its parent object, -1 for the
        outermost.
    fields
        int64[f, 2]: the type, the first column.
    defaults
        int64[c, 2], for each column: its field (0 for the first two columns, which have none), and the bits
        where the field is not present.
    """

    names: NDArray[np.uint8]
    keys: NDArray[np.int64]
    objects: NDArray[np.int64]
    fields: NDArray[np.int64]
    defaults: NDArray[np.int64]


def make_plan(fields: Sequence[JsonField]) -> ScanPlan:
    """The plan for some fields.

    Raises
    ------
    ValueError
        For too many fields or objects, a path that is empty, too deep, given twice, or leads through a
        field, a key that is not valid text, or an unknown type.
    """
    _check(fields)
    paths: list[tuple[str, ...]] = [()]  # the objects' paths
    for field in fields:
        for depth in range(1, len(field.path)):
            if field.path[:depth] not in paths:
                paths.append(field.path[:depth])
    if len(paths) > _MOST_OBJECTS:
        raise ValueError(f"fields in {len(paths)} objects, more than {_MOST_OBJECTS}")
    leads_to = {field.path: number for number, field in enumerate(fields)}
    both = [path for path in paths if path in leads_to]
    if both:
        raise ValueError(f"{'.'.join(both[0])}: a field cannot be within another")
    to_object = object_target.py_func  # the plain function: no need to compile for a few numbers
    leads_to.update({path: to_object(number) for number, path in enumerate(paths) if path})
    names = b""
    keys: list[tuple[int, int, int, int]] = []
    objects: list[tuple[int, int, int]] = []
    for path in paths:
        first = len(keys)
        for target_path, target in leads_to.items():
            if target_path[:-1] == path:
                name = target_path[-1].encode()
                word = int.from_bytes(name[:8].ljust(8, b"\0"), "little")
                keys.append((word, len(name), len(names), target & _WORD))
                names += name
        objects.append((first, len(keys), paths.index(path[:-1]) if path else -1))
    columns, defaults = [], [(0, 0), (0, 0)]
    for number, field in enumerate(fields):
        columns.append((_KINDS[field.type], len(defaults)))
        defaults.extend((number, bits) for bits in _DEFAULTS[field.type])
    return ScanPlan(
        np.frombuffer(names + b"\0", np.uint8).copy(),
        np.array(keys, np.uint64).reshape(-1, 4).view(np.int64),
        np.array(objects, np.int64),
        np.array(columns, np.int64).reshape(-1, 2),
        np.array(defaults, np.int64),
    )


_WORD = (1 << 64) - 1


def _check(fields: Sequence[JsonField]) -> None:
    if len(fields) > MOST_FIELDS:
        raise ValueError(f"{len(fields)} fields, more than {MOST_FIELDS}")
    seen = set()
    for field in fields:
        path_text = ".".join(field.path)
        if not 1 <= len(field.path) <= DEEPEST_PATH:
            raise ValueError(f"{path_text!r}: a path has 1 to {DEEPEST_PATH} keys")
        if field.path in seen:
            raise ValueError(f"{path_text}: wanted twice")
        if field.type not in get_args(FieldType):
            raise ValueError(f"{path_text}: {field.type!r} is none of {', '.join(get_args(FieldType))}")
        for key in field.path:
            try:
                key.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{path_text!r}: no valid text") from None
        seen.add(field.path)
