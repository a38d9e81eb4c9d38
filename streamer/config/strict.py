"""Values that the models would silently take for another: `true` for 1, a comment for nothing."""

from __future__ import annotations

from pydantic import BaseModel

from streamer.config import nodes
from streamer.config.explain import Found, begins_comment, wrong_shape
from streamer.config.nodes import Node
from streamer.config.shape import may_be_secret, types_at

_PLAIN = {bool: "true or false", int: "a whole number", float: "a number"}


def mistaken(root: Node, text: str, model: type[BaseModel]) -> list[Found]:
    """Scalars that stand where only a number, or only true or false, may stand, and are neither.

    And texts that are not there, because the ``#`` they begin with makes them comments.
    """
    found: list[Found] = []
    for path, scalar in nodes.scalars(root):
        kinds = set(types_at(model, path))
        if scalar.value is None:
            if str in kinds and not scalar.text and begins_comment(text, nodes.key_position(root, path)):
                secret = may_be_secret(model, path)
                words = wrong_shape(scalar, ["a text"], secret=secret, begins=True)
                found.append((nodes.key_position(root, path), path, words))
            continue
        if not kinds or not kinds <= set(_PLAIN) or _fits(scalar.value, kinds):
            continue
        wanted = [words for kind, words in _PLAIN.items() if kind in kinds]
        found.append((scalar.position, path, wrong_shape(scalar, wanted, secret=may_be_secret(model, path))))
    return found


def _fits(value: object, kinds: set[type]) -> bool:
    if type(value) in kinds or (type(value) is int and float in kinds):
        return True
    return type(value) is float and kinds == {int}  # the models refuse what is not whole, and say so
