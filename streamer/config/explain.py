"""What a validation error of the models means, in the words of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streamer.config import nodes
from streamer.config.errors import Path, did_you_mean
from streamer.config.nodes import Node, Position, Scalar
from streamer.config.shape import keys_at, may_be_secret

Found = tuple[Position, Path, str]
"""Where, which setting, and what is wrong with it."""

_SHAPES = {
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
_SPOKEN = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_SHOWN_KEYS = 16
_SHOWN_CHARS = 60


class _Error:
    """One error of the models, with its path in the document and the union branches passed on the way."""

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
            below = None if node is None else nodes.child(node, step)
            if below is not None:
                path.append(step)
                node = below
            elif isinstance(step, str):
                self.branches.append((tuple(path), step))
        self.path: Path = tuple(path)
        self.node = node

    @property
    def about_shape(self) -> bool:
        if self.kind == "literal_error":
            return not isinstance(self.node, Scalar)
        return self.kind in _SHAPES


def explain(error: ValidationError, root: Node, text: str, model: type[BaseModel]) -> list[Found]:
    """Everything that is wrong, in no particular order.

    Parameters
    ----------
    error
        What the models found.
    root, text
        The document that was validated.
    model
        The model of the document as a whole.
    """
    errors = [_Error(details, root) for details in error.errors(include_url=False)]
    return [_words(group, root, text, model) for group in _reduce(errors, 0)]


def _reduce(errors: Sequence[_Error], depth: int) -> list[list[_Error]]:
    """Errors to report, each a group that is one problem (branches that all want another shape)."""
    groups: list[list[_Error]] = []
    unions: dict[Path, list[_Error]] = {}
    for error in errors:
        if len(error.branches) <= depth or error.branches[depth][1] == "[key]":
            groups.append([error])
        else:
            unions.setdefault(error.branches[depth][0], []).append(error)
    for point, members in unions.items():
        branches: dict[str, list[_Error]] = {}
        for member in members:
            branches.setdefault(member.branches[depth][1], []).append(member)
        fitting = [
            branch
            for branch in branches.values()
            if not (len(branch) == 1 and branch[0].path == point and branch[0].about_shape)
        ]
        if not fitting:
            groups.append([branch[0] for branch in branches.values()])
            continue
        best = min(fitting, key=lambda branch: (-max(len(error.path) for error in branch), len(branch)))
        groups.extend(_reduce(best, depth + 1))
    return groups


def _words(group: Sequence[_Error], root: Node, text: str, model: type[BaseModel]) -> Found:
    first = group[0]
    path = first.path
    secret = may_be_secret(model, path)
    if first.branches and first.branches[-1][1] == "[key]":
        return nodes.key_position(root, path), path, _of_key(first, str(path[-1]))
    if first.kind == "extra_forbidden":
        return nodes.key_position(root, path), *_unknown_key(path, model)
    if first.kind == "missing":
        return nodes.key_position(root, path), path, f"'{first.name}' is missing"
    if first.about_shape and first.kind in _SHAPES:
        wanted = list(dict.fromkeys(_SHAPES[error.kind] for error in group if error.kind in _SHAPES))
        begins = begins_comment(text, nodes.key_position(root, path))
        return nodes.position(root, path), path, wrong_shape(first.node, wanted, secret=secret, begins=begins)
    words = _one(first, secret)
    path, position = nodes.naming(root, path, words) or (path, nodes.position(root, path))
    return position, path, words


def _of_key(error: _Error, key: str) -> str:
    if error.kind in ("literal_error", "enum"):
        return _no_choice(f"'{key}'", key, error.context)
    return _said(error)


def _no_choice(shown: str, word: str, context: Mapping[str, Any]) -> str:
    choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    listed = ", ".join(choices) if choices else str(context.get("expected", ""))
    return f"{shown} is not one of {listed}{did_you_mean(word, choices)}"


def _one(error: _Error, secret: bool) -> str:
    context = error.context
    if error.kind in ("literal_error", "enum"):
        word = error.node.text if isinstance(error.node, Scalar) else ""
        return _no_choice(show(error.node, secret), word, context)
    bounds = {
        "greater_than": ("must be more than", "gt"),
        "greater_than_equal": ("must be at least", "ge"),
        "less_than": ("must be less than", "lt"),
        "less_than_equal": ("must be at most", "le"),
        "multiple_of": ("must be a multiple of", "multiple_of"),
    }
    if error.kind in bounds:
        words, name = bounds[error.kind]
        return f"{show(error.node, secret)} {words} {context[name]:g}"
    if error.kind in ("too_short", "string_too_short"):
        least = context["min_length"]
        return "is empty" if least == 1 else f"is too short: at least {least}"
    if error.kind in ("too_long", "string_too_long"):
        return f"is too long: at most {context['max_length']}"
    if error.kind == "finite_number":
        return f"{show(error.node, secret)} is not a number that can be used"
    return _said(error)


def _said(error: _Error) -> str:
    """The words of a check of our own, or of a kind of error that has none here."""
    if "error" in error.context:
        return str(error.context["error"])
    return error.message.replace("Input should", "must").replace("Value error, ", "")


def _unknown_key(path: Path, model: type[BaseModel]) -> tuple[Path, str]:
    known = keys_at(model, path[:-1])
    name = str(path[-1])
    hint = did_you_mean(name, known)
    if not hint and may_be_secret(model, path[:-1]):  # then the key itself may be the secret
        return path[:-1], f"unknown key (known here: {', '.join(sorted(known))})"
    if not hint and 0 < len(known) <= _SHOWN_KEYS:
        hint = f" (known here: {', '.join(sorted(known))})"
    return path, f"unknown key '{name}'{hint}"


def wrong_shape(node: Node | None, wanted: Sequence[str], *, secret: bool, begins: bool = False) -> str:
    """What is said of a value that should have been of another type.

    Parameters
    ----------
    node, wanted
        The value, and the types that it may have.
    secret
        It may be a secret, so it is not repeated.
    begins
        It begins a comment.
    """
    shape = " or ".join(wanted)
    if not isinstance(node, Scalar):
        return f"is {show(node, secret)}, but must be {shape}"
    if node.value is None:
        hint = ": a '#' begins a comment, put a text that has one in quotes" if begins else ""
        return f"is empty, but must be {shape}{hint}"
    return f"{show(node, secret)} must be {shape}{_hint(node, secret, wanted)}"


def _hint(node: Scalar, secret: bool, wanted: Sequence[str]) -> str:
    if secret or len(node.text) > _SHOWN_CHARS:
        return ""
    if wanted == ["a text"]:
        return f": put it in quotes, '{node.text}'"
    if wanted == ["a list"] and isinstance(node.value, str):
        return f": write [{node.text}]"
    if wanted == ["true or false"] and node.text.lower() in _SPOKEN:
        return f": write {_SPOKEN[node.text.lower()]}"
    return ""


def begins_comment(text: str, key: Position) -> bool:
    """Whether what follows a key in its line begins with ``#``, and so is no value but a comment."""
    lines = re.split(r"\r\n|\r|\n", text)
    return bool(_COMMENT.search(lines[key.line - 1][key.column - 1 :]))


def show(node: Node | None, secret: bool) -> str:
    """A value as an error shows it: never one that may be a secret, and never a long one."""
    if isinstance(node, nodes.Mapping):
        return "a mapping"
    if isinstance(node, nodes.Sequence):
        return "a list"
    if node is None or secret:
        return "this value"
    shown = node.text if len(node.text) <= _SHOWN_CHARS else node.text[:_SHOWN_CHARS] + "…"
    return f"'{shown}'" if isinstance(node.value, str) else shown
