"""Values that the models would silently take for another type: `true` for 1, a text for a number."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from streamer.config.errors import Path
from streamer.config.explain import Found, wrong_shape
from streamer.config.nodes import Mapping, Node, Scalar, Sequence, value_position
from streamer.config.shape import types_at

_PLAIN = {bool: "true or false", int: "a whole number", float: "a number"}


def mistaken(root: Node, model: type[BaseModel]) -> list[Found]:
    """Scalars that stand where only a number, or only true or false, may stand, and are neither."""
    found: list[Found] = []
    for path, scalar in _scalars(root, ()):
        kinds = set(types_at(model, path))
        if scalar.value is None or not kinds or not kinds <= set(_PLAIN):
            continue
        given = type(scalar.value)
        if given in kinds or (given is int and float in kinds):
            continue
        if given is float and kinds == {int}:
            continue  # the models refuse what is not whole, and say so
        wanted = [words for kind, words in _PLAIN.items() if kind in kinds]
        found.append((value_position(root, path), path, wrong_shape(scalar, path, wanted, "")))
    return found


def _scalars(node: Node, path: Path) -> Iterator[tuple[Path, Scalar]]:
    if isinstance(node, Mapping):
        for name, entry in node.entries.items():
            yield from _scalars(entry.node, (*path, name))
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            yield from _scalars(item, (*path, number))
    else:
        yield path, node
