"""The sources of a mapping's fields: the parts of `streamer.decoding.mapping_settings`."""

from __future__ import annotations

import re
from math import isfinite
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictStr,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from streamer.decoding.event_fields import KIND_NAMES, TEXT_MAX_CHARS, KindName

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
"""The unit of a time since 1970 UTC; ``iso`` is an ISO 8601 string with a zone."""


def map_key(value: object) -> str | None:
    """The key under which a `map` looks up an event's value; None if the value cannot be a key.

    >>> map_key(True), map_key(1), map_key("Buy"), map_key([1])
    ('true', '1', 'Buy', None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else None


def _keys_as_text(given: object) -> object:
    if not isinstance(given, dict):
        return given
    by_text: dict[object, object] = {}
    for key, value in given.items():
        text = map_key(key)
        if text is None:
            msg = f"{key!r} cannot be a key: only texts, whole numbers, true and false can"
            raise ValueError(msg)
        if text in by_text:
            msg = f"the key {text!r} is there twice"
            raise ValueError(msg)
        by_text[text] = value
    if not by_text:
        msg = "the map is empty"
        raise ValueError(msg)
    return by_text


def _key(given: object) -> str:
    text = map_key(given)
    if text is None:
        msg = f"{given!r} is neither a text, a whole number, true nor false"
        raise ValueError(msg)
    return text


def _number(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, int | float) or not isfinite(given):
        msg = f"{given!r} is not a number"
        raise ValueError(msg)
    return given


OUTSIDE = "^"
"""First step of a path that starts at the record's root, where `events` names a list inside the record."""


def _valid_path(path: str) -> str:
    steps = path.split(".")
    if not all(steps) or steps == [OUTSIDE]:
        msg = f"{path!r} is not a path: names joined by single dots, such as data.price"
        raise ValueError(msg)
    return path


def _valid_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        msg = f"{pattern!r} is not a regular expression: {error}"
        raise ValueError(msg) from error
    if groups != 1:
        msg = f"{pattern!r} must have exactly one group (...), which is what is taken"
        raise ValueError(msg)
    return pattern


Path = Annotated[StrictStr, AfterValidator(_valid_path)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=TEXT_MAX_CHARS)]
TextMap = Annotated[dict[str, Text], BeforeValidator(_keys_as_text)]
Number = Annotated[int | float, BeforeValidator(_number)]
Key = Annotated[str, BeforeValidator(_key)]


class MappingPart(BaseModel):
    """The base of all parts of a mapping: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _From(MappingPart):
    """The source of a field; a plain text is short for a path."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        return {"path": given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Also allow the short form in the exported schema."""
        full = handler(core)
        return {"anyOf": [{"type": "string", "description": "a path"}, handler.resolve_ref_schema(full)]}


def _exactly_one(what: dict[str, object]) -> None:
    given = [name for name, value in what.items() if value is not None]
    if len(given) != 1:
        names = " or ".join(what)
        msg = f"needs {names}" if not given else f"takes only one of {' and '.join(given)}"
        raise ValueError(msg)


class NumberFrom(_From):
    """A number: `path` (with `scale`, what its steps are worth, such as 1e-9) or `constant`."""

    path: Path | None = None
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    constant: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _exactly_one({"path": self.path, "constant": self.constant})
        if self.scale is not None and self.path is None:
            msg = "scale goes with path"
            raise ValueError(msg)
        return self


class TextFrom(_From):
    """A text: `path` (with `map` from what is found there to what it means) or `constant`."""

    path: Path | None = None
    map: TextMap | None = None
    constant: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _exactly_one({"path": self.path, "constant": self.constant})
        if self.map is not None and self.path is None:
            msg = "map goes with path"
            raise ValueError(msg)
        return self


class TimeFrom(MappingPart):
    """A time: `path` and `unit`, which is never guessed."""

    path: Path
    unit: TimeUnit

    @model_validator(mode="before")
    @classmethod
    def _unit_is_needed(cls, given: object) -> object:
        if isinstance(given, str):
            msg = f"needs a unit, which is never guessed: {{path: {given}, unit: ms}} (or s, us, ns, iso)"
            raise ValueError(msg)  # noqa: TRY004 (pydantic collects ValueErrors)
        return given


class NameFrom(_From):
    """A symbol or a venue: from a `path`; the `topic`, the record's `key`, the `file`'s name; or a constant.

    `pattern` is a regular expression that must match from the start, and whose one group is taken;
    `map` then renames. Of a file's name the endings (.jsonl, .csv, .gz, .zst) are left out.
    """

    path: Path | None = None
    origin: Annotated[Literal["topic", "key", "file"] | None, Field(alias="from")] = None
    constant: Text | None = None
    pattern: Annotated[StrictStr, AfterValidator(_valid_pattern)] | None = None
    map: TextMap | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _exactly_one({"path": self.path, "from": self.origin, "constant": self.constant})
        if self.constant is not None and (self.pattern is not None or self.map is not None):
            msg = "pattern and map do not go with constant"
            raise ValueError(msg)
        return self


class KindFrom(MappingPart):
    """What kind an event is: a `path` and a `map` of what is found there, or one kind for all.

    Without a map the field itself must hold the kind's name. What `ignore` lists is counted, and not used.
    """

    path: Path | None = None
    map: Annotated[dict[str, KindName], BeforeValidator(_keys_as_text)] | None = None
    ignore: tuple[Key, ...] = ()
    constant: KindName | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        if given not in KIND_NAMES:
            kinds = ", ".join(KIND_NAMES)
            msg = f"{given!r} is none of {kinds}; where a field holds the kind, give its path and a map"
            raise ValueError(msg)
        return {"constant": given}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _exactly_one({"path": self.path, "constant": self.constant})
        if self.constant is not None and (self.map is not None or self.ignore):
            msg = "map and ignore go with path"
            raise ValueError(msg)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Also allow the short form in the exported schema."""
        full = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"enum": list(KIND_NAMES), "description": "all events are of this kind"}, full]}

    def kinds(self) -> tuple[str, ...]:
        """The kinds it names, in the schema's order; empty if the field itself holds kinds' names."""
        if self.constant is not None:
            return (self.constant,)
        return tuple(name for name in KIND_NAMES if name in (self.map or {}).values())


def only(members: tuple[str, ...]) -> AfterValidator:
    """Restrict a text's constant, and the values of its map, to the members of an enum."""

    def check(given: TextFrom) -> TextFrom:
        words = (*(given.map or {}).values(), *(() if given.constant is None else (given.constant,)))
        for word in words:
            if word not in members:
                msg = f"{word!r} is none of {', '.join(members)}"
                raise ValueError(msg)
        return given

    return AfterValidator(check)
