"""Settings for joins: which topics, or files, are folded as one log, and how long it waits for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict

_WAIT = re.compile(r"([0-9]{1,9})(ms|s|m)")
_MS = {"ms": 1, "s": 1_000, "m": 60_000}
_LEAST_WAIT_MS, _MOST_WAIT_MS = 10, 600_000
_NS_PER_MS = 1_000_000
_WILDCARDS = frozenset("*?[")
_ALONE = "a join of one name joins nothing: name another, or write {topics: [...], partitions: all}"
_A_PATTERN = "'{}' is one name, and patterns of topics are not joined: name each topic"


def wait_ns(text: str) -> int:
    """Nanoseconds in a `join_wait` such as ``500ms`` or ``2s``.

    Raises
    ------
    ValueError
        When it is no duration between 10 ms and 10 minutes.

    Examples
    --------
    >>> wait_ns("500ms"), wait_ns("2s")
    (500000000, 2000000000)
    """
    match = _WAIT.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a duration: write an integer and ms, s or m, such as 500ms")
    milliseconds = int(match[1]) * _MS[match[2]]
    if not _LEAST_WAIT_MS <= milliseconds <= _MOST_WAIT_MS:
        raise ValueError(f"'{text}' is not between 10ms and 10m")
    return milliseconds * _NS_PER_MS


def _joined_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("is empty: name the topics, in the order in which records of one time are folded")
    for number, name in enumerate(names):
        if not name.strip():
            raise ValueError("has an empty name: name each topic")
        if name in names[:number]:
            raise ValueError(f"'{name}' is listed twice")
    return names


def _several_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) == 1:
        raise ValueError(_A_PATTERN.format(names[0]) if is_pattern(names[0]) else _ALONE)
    return names


class JoinSettings(BaseModel):
    """Topics whose partitions are folded as one log each, or all as one.

    Parameters
    ----------
    topics
        Their names, in order: of records of one time, those of the first topic are folded first.
    partitions
        ``each``: one log of the partitions of a number, for topics that are keyed alike. ``all``: one log of
        all partitions of all of them, for topics that are not.

    Examples
    --------
    >>> JoinSettings(topics=("xex.trades", "xex.orders")).partitions
    'each'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: Annotated[tuple[str, ...], AfterValidator(_joined_names)]
    partitions: Literal["each", "all"] = "each"

    @property
    def name(self) -> str:
        """The names joined by ``+``, as in the names of its logs.

        Examples
        --------
        >>> JoinSettings(topics=("a", "b")).name
        'a+b'
        """
        return "+".join(self.topics)


_Listed: TypeAlias = Annotated[tuple[str, ...], AfterValidator(_joined_names), AfterValidator(_several_names)]


def _one_or_several(given: JoinSettings | tuple[str | _Listed | JoinSettings, ...]) -> object:
    if isinstance(given, JoinSettings):
        _several_partitions(given)
        return given
    texts = tuple(each for each in given if isinstance(each, str))
    if texts and len(texts) < len(given):
        raise ValueError(f"'{texts[0]}' stands beside lists: write a list of names, or one for each join")
    if texts or not given:
        _several_names(_joined_names(texts))
    for each in given:
        if isinstance(each, JoinSettings):
            _several_partitions(each)
    return given


def _several_partitions(join: JoinSettings) -> None:
    if join.partitions == "each":
        _several_names(join.topics)


JoinsSetting: TypeAlias = Annotated[
    JoinSettings | tuple[str | _Listed | JoinSettings, ...], AfterValidator(_one_or_several)
]
"""One join, as a list of names or a mapping, or a list of joins."""

Written = tuple[tuple[str | int, ...], JoinSettings]
"""A join, and the path of its names below `join`."""


def joins_of(setting: JoinsSetting) -> tuple[Written, ...]:
    """The joins of a setting, each with the path of its names.

    Examples
    --------
    >>> joins_of(("trades", "orders"))
    (((), JoinSettings(topics=('trades', 'orders'), partitions='each')),)
    >>> [path for path, _ in joins_of((("a", "b"), JoinSettings(topics=("c",), partitions="all")))]
    [(0,), (1, 'topics')]
    """
    if isinstance(setting, JoinSettings):
        return ((("topics",), setting),)
    names = tuple(each for each in setting if isinstance(each, str))
    if names:
        return (((), JoinSettings(topics=names)),)
    return tuple(_written(number, each) for number, each in enumerate(setting))


def _written(number: int, given: object) -> Written:
    if isinstance(given, JoinSettings):
        return (number, "topics"), given
    if not isinstance(given, Sequence):
        raise TypeError(f"no join: {given!r}")
    return (number,), JoinSettings(topics=tuple(given))


def is_pattern(name: str) -> bool:
    """Whether a name is a pattern for several.

    Examples
    --------
    >>> is_pattern("spot.*"), is_pattern("spot")
    (True, False)
    """
    return not _WILDCARDS.isdisjoint(name)
