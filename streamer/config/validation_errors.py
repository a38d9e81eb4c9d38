"""Turns validation errors of the models into messages with positions and paths of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streamer.config import nodes
from streamer.config.errors import MAX_PROBLEMS, Path, did_you_mean
from streamer.config.model_types import keys_at, may_be_secret
from streamer.config.nodes import Node, Position, Scalar

Finding = tuple[Position, Path, str]
"""The position, the setting's path, and what is wrong with it."""

_TYPE_WORDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "dict_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "path_type": "a path",
    "none_required": "nothing",
}
_COMMENT = re.compile(r":\s+#\S")
_BOOL_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_MAX_KEYS = 16
_MAX_CHARS = 60


class _ValidationProblem:
    """One validation error, with its path in the document and the union branches along it."""

    def __init__(self, details: ErrorDetails, root: Node) -> None:
        self.kind = details["type"]
        self.message = details["msg"]
        self.context: Mapping[str, Any] = details.get("ctx") or {}
        path: list[str | int] = []
        self.branches: list[tuple[Path, str]] = []
        node: Node | None = root
        steps = list(details["loc"])
        self.name = str(steps.pop()) if self.kind == "missing" else ""
        for step in steps:
            child = None if node is None else nodes.child(node, step)
            if child is not None:
                path.append(step)
                node = child
            elif isinstance(step, str):
                self.branches.append((tuple(path), step))
        self.path: Path = tuple(path)
        self.node = node

    @property
    def is_type_error(self) -> bool:
        if self.kind == "literal_error":
            return not isinstance(self.node, Scalar)
        return self.kind in _TYPE_WORDS


def explain_validation(
    error: ValidationError, root: Node, text: str, model: type[BaseModel]
) -> tuple[list[Finding], int]:
    """The problems of a validation, in no particular order; those beyond `MAX_PROBLEMS` are only counted.

    Parameters
    ----------
    error
        The validation error.
    root, text
        The document that was validated.
    model
        The model of the whole document.
    """
    errors = [_ValidationProblem(details, root) for details in error.errors(include_url=False)]
    groups = _reduce(errors, 0)
    shown = [_finding(group, root, text, model) for group in groups[:MAX_PROBLEMS]]
    return shown, len(groups) - len(shown)


def _reduce(errors: Sequence[_ValidationProblem], depth: int) -> list[list[_ValidationProblem]]:
    """The errors to report, grouped by problem: union branches that all expect another type are one."""
    groups: list[list[_ValidationProblem]] = []
    unions: dict[Path, list[_ValidationProblem]] = {}
    for error in errors:
        if len(error.branches) <= depth or error.branches[depth][1] == "[key]":
            groups.append([error])
        else:
            unions.setdefault(error.branches[depth][0], []).append(error)
    for point, members in unions.items():
        branches: dict[str, list[_ValidationProblem]] = {}
        for member in members:
            branches.setdefault(member.branches[depth][1], []).append(member)
        fitting = [
            branch
            for branch in branches.values()
            if not (len(branch) == 1 and branch[0].path == point and branch[0].is_type_error)
        ]
        if not fitting:
            groups.append([branch[0] for branch in branches.values()])
            continue
        best = min(fitting, key=lambda branch: (-max(len(error.path) for error in branch), len(branch)))
        groups.extend(_reduce(best, depth + 1))
    return groups


def _finding(group: Sequence[_ValidationProblem], root: Node, text: str, model: type[BaseModel]) -> Finding:
    first = group[0]
    path = first.path
    secret = may_be_secret(model, path)
    if first.branches and first.branches[-1][1] == "[key]":
        return nodes.key_position(root, path), path, _key_message(first, str(path[-1]))
    if first.kind == "extra_forbidden":
        return nodes.key_position(root, path), *_unknown_key(path, model)
    if first.kind == "missing":
        return nodes.key_position(root, path), path, f"'{first.name}' is missing"
    if first.is_type_error and first.kind in _TYPE_WORDS:
        types = [_TYPE_WORDS[error.kind] for error in group if error.kind in _TYPE_WORDS]
        is_comment = value_is_comment(text, nodes.key_position(root, path))
        message = type_message(first.node, list(dict.fromkeys(types)), secret=secret, is_comment=is_comment)
        return nodes.position(root, path), path, message
    message = _value_message(first, secret)
    path, position = nodes.naming(root, path, message) or (path, nodes.position(root, path))
    return position, path, message


def _key_message(error: _ValidationProblem, key: str) -> str:
    if error.kind in ("literal_error", "enum"):
        return _choice_message(f"'{key}'", key, error.context)
    return _own_message(error)


def _choice_message(shown: str, word: str, context: Mapping[str, Any]) -> str:
    choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    listed = ", ".join(choices) if choices else str(context.get("expected", ""))
    return f"{shown} is not one of {listed}{did_you_mean(word, choices)}"


def _value_message(error: _ValidationProblem, secret: bool) -> str:
    context = error.context
    if error.kind in ("literal_error", "enum"):
        word = error.node.text if isinstance(error.node, Scalar) else ""
        return _choice_message(show(error.node, secret), word, context)
    bounds = {
        "greater_than": ("must be more than", "gt"),
        "greater_than_equal": ("must be at least", "ge"),
        "less_than": ("must be less than", "lt"),
        "less_than_equal": ("must be at most", "le"),
        "multiple_of": ("must be a multiple of", "multiple_of"),
    }
    if error.kind in bounds:
        comparison, name = bounds[error.kind]
        return f"{show(error.node, secret)} {comparison} {_bound(context[name])}"
    if error.kind in ("too_short", "string_too_short"):
        minimum = context["min_length"]
        return "is empty" if minimum == 1 else f"is too short: at least {minimum}"
    if error.kind in ("too_long", "string_too_long"):
        return f"is too long: at most {context['max_length']}"
    if error.kind == "finite_number":
        return f"{show(error.node, secret)} is not a finite number"
    return _own_message(error)


def _bound(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _own_message(error: _ValidationProblem) -> str:
    """The message of one of our own checks, or pydantic's for a kind of error not handled here."""
    if "error" in error.context:
        return str(error.context["error"])
    return error.message.replace("Input should", "must").replace("Value error, ", "")


def _unknown_key(path: Path, model: type[BaseModel]) -> tuple[Path, str]:
    known = keys_at(model, path[:-1])
    name = str(path[-1])
    hint = did_you_mean(name, known)
    if not hint and may_be_secret(model, path[:-1]):  # the key itself may be the secret
        return path[:-1], f"unknown key (known here: {', '.join(sorted(known))})"
    if not hint and 0 < len(known) <= _MAX_KEYS:
        hint = f" (known here: {', '.join(sorted(known))})"
    return path, f"unknown key '{name}'{hint}"


def type_message(
    node: Node | None, expected: Sequence[str], *, secret: bool, is_comment: bool = False
) -> str:
    """The message for a value of the wrong type.

    Parameters
    ----------
    node, expected
        The value, and the types that it may have.
    secret
        It may be a secret, so it is not shown.
    is_comment
        There is a comment in its place.
    """
    types = " or ".join(expected)
    if not isinstance(node, Scalar):
        return f"is {show(node, secret)}, but must be {types}"
    if node.value is None:
        hint = ": a '#' begins a comment, put a text that has one in quotes" if is_comment else ""
        return f"is empty, but must be {types}{hint}"
    return f"{show(node, secret)} must be {types}{_hint(node, secret, expected)}"


def _hint(node: Scalar, secret: bool, expected: Sequence[str]) -> str:
    if secret or len(node.text) > _MAX_CHARS:
        return ""
    if expected == ["a text"]:
        return f": put it in quotes, '{node.text}'"
    if expected == ["a list"] and isinstance(node.value, str):
        return f": write [{node.text}]"
    if expected == ["true or false"] and node.text.lower() in _BOOL_WORDS:
        return f": write {_BOOL_WORDS[node.text.lower()]}"
    return ""


def value_is_comment(text: str, key: Position) -> bool:
    """Whether the text after a key begins with ``#``, and so is a comment instead of a value."""
    return bool(_COMMENT.search(_lines(text)[key.line - 1][key.column - 1 :]))


@lru_cache(maxsize=1)
def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def show(node: Node | None, secret: bool) -> str:
    """A value as shown in an error: never one that may be a secret, and never a long one."""
    if isinstance(node, nodes.Mapping):
        return "a mapping"
    if isinstance(node, nodes.Sequence):
        return "a list"
    if node is None or secret:
        return "this value"
    text = node.text if len(node.text) <= _MAX_CHARS else node.text[:_MAX_CHARS] + "…"
    return f"'{text}'" if isinstance(node.value, str) else text
