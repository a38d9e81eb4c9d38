"""Plans: for each kind of event, the sources of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from streamer.decoding.decode_context import DecodeContext

Path = tuple[str, ...]
Unit = Literal["s", "ms", "us", "ns", "iso"]
Rename = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class NumberSource:
    """A number: a JSON number or, if it `may_be_text`, a string that contains one.

    It is multiplied by `factor`, or divided by it if `divided`.
    """

    path: Path
    may_be_text: bool
    factor: float = 1.0
    divided: bool = False


@dataclass(frozen=True, slots=True)
class IntegerSource:
    """An integer: a JSON integer or, if it `may_be_text`, a string of digits."""

    path: Path
    may_be_text: bool


@dataclass(frozen=True, slots=True)
class TimeSource:
    """A time since 1970 UTC; ``iso`` is always a string, the other units if it `may_be_text`."""

    path: Path
    unit: Unit
    may_be_text: bool


@dataclass(frozen=True, slots=True)
class PlainTextSource:
    """A text; if `loose`, integers count as texts, and the empty string as absent."""

    path: Path
    loose: bool


@dataclass(frozen=True, slots=True)
class EnumSource:
    """One of several texts, and the meaning of each; if `loose`, integers and true, false count as texts."""

    path: Path
    means: Mapping[str, str]
    loose: bool


@dataclass(frozen=True, slots=True)
class ConstantSource:
    """The same value for every event."""

    value: float | str


FieldSource = NumberSource | IntegerSource | TimeSource | PlainTextSource | EnumSource | ConstantSource


@dataclass(frozen=True, slots=True)
class NameSource:
    """A symbol or a venue: at `path`, or `given` by the records' context.

    Parameters
    ----------
    path
        Its path in a record; None if it is given.
    loose
        Whether an integer at `path` counts as a symbol.
    rename
        Maps a text at `path` to the name, or to None to leave the record to the slow path; None if texts
        are names already.
    given
        Returns the common name of all records, or None to leave them to the slow path.
    """

    path: Path | None
    loose: bool = False
    rename: Rename | None = None
    given: Callable[[DecodeContext], str | None] | None = None


@dataclass(frozen=True, slots=True)
class KindSource:
    """The source of an event's kind.

    Parameters
    ----------
    path
        Its path in a record; None if all events are of the kind `constant`.
    means
        The kind's name by the text at the path.
    ignored
        The texts of records that are only counted.
    loose
        Whether integers, true and false count as texts.
    constant
        The kind of all events, where there is no path.
    """

    path: Path | None
    means: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    loose: bool = False
    constant: str = ""


@dataclass(frozen=True, slots=True)
class EventSources:
    """The sources of one kind of event's fields.

    Parameters
    ----------
    symbol, venue
        The instrument. Without a venue, or if `venue` is None, the context's venue applies.
    time
        The event's time. Without one, or if `time` is None, the record's time applies.
    fields
        All other fields, by name.
    """

    symbol: NameSource
    venue: NameSource | None
    time: TimeSource | None
    fields: Mapping[str, FieldSource]


@dataclass(frozen=True, slots=True)
class EventPlan:
    """How a record's event is decoded: the source of its kind, and by kind those of its fields."""

    kind: KindSource
    sources: Mapping[str, EventSources]
