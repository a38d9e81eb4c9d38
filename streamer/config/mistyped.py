"""Finds values of the wrong type that the models would accept: `true` for 1, a comment for nothing."""

from __future__ import annotations

from pydantic import BaseModel

from streamer.config import nodes
from streamer.config.model_types import may_be_secret, types_at
from streamer.config.nodes import Node
from streamer.config.validation_errors import Finding, type_message, value_is_comment

_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


def mistyped(root: Node, text: str, model: type[BaseModel]) -> list[Finding]:
    """Scalars that should be a number or a boolean and are not.

    Also strings that are missing because they begin with ``#``, which makes them comments.
    """
    findings: list[Finding] = []
    for path, scalar in nodes.scalars(root):
        kinds = set(types_at(model, path))
        if scalar.value is None:
            if str in kinds and not scalar.text and value_is_comment(text, nodes.key_position(root, path)):
                secret = may_be_secret(model, path)
                message = type_message(scalar, ["a text"], secret=secret, is_comment=True)
                findings.append((nodes.key_position(root, path), path, message))
            continue
        if not kinds or not kinds <= set(_TYPE_WORDS) or _is_of(scalar.value, kinds):
            continue
        expected = [words for kind, words in _TYPE_WORDS.items() if kind in kinds]
        message = type_message(scalar, expected, secret=may_be_secret(model, path))
        findings.append((scalar.position, path, message))
    return findings


def _is_of(value: object, kinds: set[type]) -> bool:
    if type(value) in kinds or (type(value) is int and float in kinds):
        return True
    return type(value) is float and kinds == {int}  # the models themselves refuse fractions
