"""Which keys and types the configuration's models allow at a path, for error messages."""

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
    """The keys that a mapping at this path may have; empty if any key is allowed, or none.

    Examples
    --------
    >>> from streamer.config.settings import Settings
    >>> sorted(keys_at(Settings, ("log",)))
    ['format', 'level']
    """
    keys: set[str] = set()
    for kind in types_at(model, path):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys.update(field.alias or name for name, field in kind.model_fields.items())
    return frozenset(keys)


def types_at(model: type[BaseModel], path: Path) -> list[Any]:
    """The types that the value at this path may have, with unions split into their members."""
    kinds: list[Any] = [model]
    for step in path:
        kinds = [member for kind in kinds for member in _types_under(kind, step)]
    return kinds


def _types_under(kind: Any, step: str | int) -> Iterator[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _field_types(kind, step)
        return
    arguments = get_args(kind)
    origin = get_origin(kind)
    if not arguments or not isinstance(origin, type):
        return
    if issubclass(origin, Mapping) and isinstance(step, str):
        yield from _union_members(arguments[1])
    elif issubclass(origin, Sequence | frozenset | set) and isinstance(step, int):
        yield from _union_members(arguments[0])


def _field_types(model: type[BaseModel], step: str | int) -> Iterator[Any]:
    for name, field in model.model_fields.items():
        if step in (name, field.alias):
            yield from _union_members(field.annotation)
            return
    if model.model_config.get("extra") == "allow":  # any names, besides the model's fields
        for kind in _union_members(get_type_hints(model, include_extras=True)["__pydantic_extra__"]):
            yield from _types_under(kind, step)


def _union_members(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Annotated:
        yield from _union_members(get_args(kind)[0])
    elif get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _union_members(part)
    elif kind is not type(None) and get_origin(kind) is not Literal:
        yield kind
