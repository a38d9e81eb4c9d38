"""What the configuration's models allow at a path: for the words of an error, and for "did you mean"."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from alerts.secrets import Secret
from streamer.config.errors import Path

_SECRET_KEY = re.compile(r"token|secret|password|credential", re.IGNORECASE)


def may_be_secret(model: type[BaseModel], path: Path) -> bool:
    """Whether the value at this path may be a secret, and so must not be repeated in an error.

    It may be where the models expect a `Secret` there or above, or where the name of a key says so, even of
    one that the models do not know.

    Examples
    --------
    >>> from streamer.config.settings import Settings
    >>> may_be_secret(Settings, ("receivers", "desk", "slack", "incoming_webhook"))
    True
    >>> may_be_secret(Settings, ("receivers", "desk", "slack", "channel"))
    False
    """
    if any(isinstance(step, str) and _SECRET_KEY.search(step) for step in path):
        return True
    return any(Secret in types_at(model, path[:end]) for end in range(1, len(path) + 1))


def keys_at(model: type[BaseModel], path: Path) -> frozenset[str]:
    """The keys that a mapping at this path may have; empty where any key is allowed, or none.

    Examples
    --------
    >>> from streamer.config.settings import Settings
    >>> sorted(keys_at(Settings, ("log",)))
    ['format', 'level']
    """
    found: set[str] = set()
    for kind in types_at(model, path):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.update(field.alias or name for name, field in kind.model_fields.items())
    return frozenset(found)


def types_at(model: type[BaseModel], path: Path) -> list[Any]:
    """The types, unions taken apart, that the value at this path may have."""
    kinds: list[Any] = [model]
    for step in path:
        kinds = [below for kind in kinds for below in _below(kind, step)]
    return kinds


def _below(kind: Any, step: str | int) -> Iterator[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _field(kind, step)
        return
    arguments = get_args(kind)
    origin = get_origin(kind)
    if not arguments or not isinstance(origin, type):
        return
    if issubclass(origin, Mapping) and isinstance(step, str):
        yield from _parts(arguments[1])
    elif issubclass(origin, Sequence | frozenset | set) and isinstance(step, int):
        yield from _parts(arguments[0])


def _field(model: type[BaseModel], step: str | int) -> Iterator[Any]:
    for name, field in model.model_fields.items():
        if step in (name, field.alias):
            yield from _parts(field.annotation)
            return
    if model.model_config.get("extra") == "allow":  # free names, beside those that the model states
        for kind in _parts(get_type_hints(model, include_extras=True)["__pydantic_extra__"]):
            yield from _below(kind, step)


def _parts(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Annotated:
        yield from _parts(get_args(kind)[0])
    elif get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _parts(part)
    elif kind is not type(None) and get_origin(kind) is not Literal:
        yield kind
