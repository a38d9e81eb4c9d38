"""What events are made of: for each kind, where its fields come from."""

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
    """A number, a JSON number or, where it `may_be_text`, a text that is written like one.

    Times `factor`, or `divided` by it.
    """

    path: Path
    may_be_text: bool
    factor: float = 1.0
    divided: bool = False


@dataclass(frozen=True, slots=True)
class IntegerSource:
    """A whole number, a JSON integer or, where it `may_be_text`, a text of digits."""

    path: Path
    may_be_text: bool


@dataclass(frozen=True, slots=True)
class TimeSource:
    """A time since 1970 UTC; ``iso`` is always a text, the other units are where it `may_be_text`."""

    path: Path
    unit: Unit
    may_be_text: bool


@dataclass(frozen=True, slots=True)
class PlainTextSource:
    """A text; where `loose`, whole numbers are texts, too, and the empty text is none."""

    path: Path
    loose: bool


@dataclass(frozen=True, slots=True)
class EnumSource:
    """One of some texts, and what each `means`; where `loose`, whole numbers, true, false are texts, too."""

    path: Path
    means: Mapping[str, str]
    loose: bool


@dataclass(frozen=True, slots=True)
class ConstantSource:
    """The same for every event."""

    value: float | str


FieldSource = NumberSource | IntegerSource | TimeSource | PlainTextSource | EnumSource | ConstantSource


@dataclass(frozen=True, slots=True)
class NameSource:
    """A symbol or a venue: at `path`, or what `given` makes of the records' surroundings.

    Parameters
    ----------
    path
        Where it lies in a record; None where it is given.
    loose
        Whether a whole number at `path` is a symbol, too.
    rename
        What a text at `path` becomes, None where it is to be left; None where it stays what it is.
    given
        The same name for all; None where it is to be left.
    """

    path: Path | None
    loose: bool = False
    rename: Rename | None = None
    given: Callable[[DecodeContext], str | None] | None = None


@dataclass(frozen=True, slots=True)
class KindSource:
    """What kind an event is.

    Parameters
    ----------
    path
        Where that lies in a record; None where all are of the kind `constant`.
    means
        The kind's name by what is found there.
    ignored
        What is found there of records that are only counted.
    loose
        Whether whole numbers, true and false count as texts.
    """

    path: Path | None
    means: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    loose: bool = False
    constant: str = ""


@dataclass(frozen=True, slots=True)
class EventSources:
    """Where the fields of one kind of event come from.

    Parameters
    ----------
    symbol, venue
        The instrument; an event without a venue, or a `venue` of None, has that of its surroundings.
    time
        The event's time; None, or an event that has none there, has its record's.
    fields
        All others, by name.
    """

    symbol: NameSource
    venue: NameSource | None
    time: TimeSource | None
    fields: Mapping[str, FieldSource]


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What a record's event is: its kind, and by kind what is wanted of it."""

    kinds: KindSource
    wanted: Mapping[str, EventSources]
