"""Flattens a plan into the arrays that kernels take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.columns.event_plan import (
    ConstantSource,
    EnumSource,
    EventPlan,
    FieldSource,
    IntegerSource,
    KindSource,
    NameSource,
    NumberSource,
    Path,
    PlainTextSource,
    TimeSource,
    Unit,
)
from streamer.decoding.columns.field_paths import FieldsAtPath, RequestedPaths
from streamer.decoding.columns.plan_codes import (
    CONSTANT,
    INTEGER,
    NUMBER,
    SLOW_PATH,
    TEXT,
    TIME,
    TO_CODE,
    TO_NUMBER,
    TO_TEXT,
    TO_TIME,
    WORD,
    FieldEntry,
    Word,
)
from streamer.decoding.columns.time_kernels import ISO
from streamer.decoding.event_fields import (
    ENUM_CODES,
    FIELDS,
    KIND_NAMES,
    REQUIRED_BY_KIND,
    TIME_MAX_NS,
    Bounds,
)
from streamer.decoding.json import Scanner
from streamer.decoding.json.scan_plan import FieldType

_UNITS: Mapping[Unit, int] = MappingProxyType({"s": 9, "ms": 6, "us": 3, "ns": 0, "iso": ISO})


@dataclass(frozen=True, slots=True, eq=False)
class FlatPlan:
    """A plan in the form kernels take.

    Parameters
    ----------
    scanners
        They read the rows, the first one all of them.
    kind
        int64[1, …], the `FieldEntry` of the kind; None if all events are of the kind `only_kind`.
    only_kind
        See `kind`.
    names
        Field names by number.
    starts
        int64[kinds + 1], the first entry of each kind.
    entries, amounts
        int64[e, …], see `FieldEntry`; float64[e, 4]: the lowest number or the constant, the highest number,
        1 if the lowest is excluded, and the factor to multiply by or, if negative, to divide by.
    letters, word_starts, words
        uint8, int64[w + 1], int64[w, …]: the words' texts, and what they stand for (`Word`).
    texts
        The meanings of words in text columns, by `Word.means`.
    ignored
        Names that are only counted, by ``SLOW_PATH - 1 - means``.
    paths
        The fields of each path.
    """

    scanners: Sequence[Scanner]
    kind: NDArray[np.int64] | None
    only_kind: int
    names: tuple[str, ...]
    starts: NDArray[np.int64]
    entries: NDArray[np.int64]
    amounts: NDArray[np.float64]
    letters: NDArray[np.uint8]
    word_starts: NDArray[np.int64]
    words: NDArray[np.int64]
    texts: tuple[str, ...]
    ignored: tuple[str, ...]
    paths: Mapping[Path, FieldsAtPath]


class _Flattener:
    def __init__(self, plan: EventPlan) -> None:
        self.plan = plan
        self.letters = b""
        self.word_starts = [0]
        self.words: list[Word] = []
        self.texts: list[str] = []
        self.names: list[str] = []
        self.scanners, self.paths = _requested(plan).scanners()

    def flat(self) -> FlatPlan:
        kind, ignored = self._kind(self.plan.kind)
        starts, entries, amounts = [0], [], []
        for name in KIND_NAMES:
            sources = self.plan.sources.get(name)
            if sources is not None:
                if sources.time is not None:
                    entries.append(self._entry(sources.time, TO_TIME))
                    amounts.append((0.0, float(TIME_MAX_NS), 0.0, 1.0))
                for field, source in sources.fields.items():
                    entries.append(self._field(name, field, source))
                    amounts.append(_amounts(field, source))
            starts.append(len(entries))
        only = self.plan.kind.constant
        return FlatPlan(
            scanners=self.scanners,
            kind=None if kind is None else np.array([kind], np.int64),
            only_kind=KIND_NAMES.index(only) if only else SLOW_PATH,
            names=tuple(self.names),
            starts=np.array(starts, np.int64),
            entries=np.array(entries, np.int64).reshape(-1, len(FieldEntry._fields)),
            amounts=np.array(amounts, np.float64).reshape(-1, 4),
            letters=np.frombuffer(self.letters + b"\0", np.uint8).copy(),
            word_starts=np.array(self.word_starts, np.int64),
            words=np.array(self.words, np.int64).reshape(-1, len(Word._fields)),
            texts=tuple(self.texts),
            ignored=tuple(ignored),
            paths=MappingProxyType(self.paths),
        )

    def _kind(self, source: KindSource) -> tuple[FieldEntry | None, list[str]]:
        if source.path is None:
            return None, []
        means = {
            word: KIND_NAMES.index(kind) if kind in self.plan.sources else SLOW_PATH
            for word, kind in source.means.items()
        }
        ignored = list(dict.fromkeys(source.ignored))
        means |= {word: SLOW_PATH - 1 - number for number, word in enumerate(ignored)}
        entry = self._entry(EnumSource(source.path, dict.fromkeys(means, ""), source.loose), TO_CODE, means)
        return entry._replace(empty_is_none=0), ignored

    def _field(self, kind: str, name: str, source: FieldSource) -> FieldEntry:
        field = FIELDS[name]
        if name not in self.names:
            self.names.append(name)
        if field.type == "number":
            to, means = TO_NUMBER, None
        elif field.type == "enum":
            to, means = TO_CODE, self._means(source, ENUM_CODES)
        else:
            to, means = TO_TEXT, self._means(source, None)
        entry = self._entry(source, to, means)
        return entry._replace(name=self.names.index(name), required=int(name in REQUIRED_BY_KIND[kind]))

    def _means(self, source: FieldSource, codes: Mapping[str, int] | None) -> Mapping[str, int] | None:
        if isinstance(source, EnumSource):
            return {word: self._meaning(text, codes) for word, text in source.means.items()}
        if isinstance(source, ConstantSource):
            return {"": self._meaning(str(source.value), codes)}
        return None

    def _meaning(self, text: str, codes: Mapping[str, int] | None) -> int:
        if codes is not None:
            return codes[text]
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def _entry(self, source: FieldSource, to: int, means: Mapping[str, int] | None = None) -> FieldEntry:
        first = len(self.words)
        for word, meaning in (means or {}).items():
            self.letters += word.encode()
            self.word_starts.append(len(self.letters))
            self.words.append(_word(word, meaning))
        end = len(self.words) if means else 0
        entry = FieldEntry(_READ_AS[type(source)], to, first_word=first, end_word=end)
        if isinstance(source, ConstantSource):
            return entry
        if isinstance(source, TimeSource):
            entry = entry._replace(unit=_UNITS[source.unit], empty_is_none=1)
        fields = self.paths[source.path]
        allowed = _types(source)
        text = [kind for kind in allowed if kind == "text"]
        value = [kind for kind in allowed if kind in {"integer", "number", "decimal"}]
        flag = [kind for kind in allowed if kind == "flag"]
        return entry._replace(
            first=fields.first,
            text=fields.field(*text),
            value=fields.field(*value),
            flag=fields.field(*flag),
            empty_is_none=int(
                isinstance(source, TimeSource | IntegerSource) or getattr(source, "loose", False)
            ),
        )


_READ_AS = {
    NumberSource: NUMBER,
    IntegerSource: INTEGER,
    TimeSource: TIME,
    PlainTextSource: TEXT,
    EnumSource: WORD,
    ConstantSource: CONSTANT,
}


def flatten(plan: EventPlan) -> FlatPlan:
    """Flatten a plan.

    Raises
    ------
    ValueError
        If kernels cannot follow it: a path leads through another's value, two types are requested at a path
        that cannot be told apart, there are too many fields, or a constant is out of bounds.
    """
    return _Flattener(plan).flat()


def _requested(plan: EventPlan) -> RequestedPaths:
    paths = RequestedPaths()
    kind = plan.kind
    if kind.path is not None:
        words = dict.fromkeys((*kind.means, *kind.ignored), "")
        paths.request(kind.path, _types(EnumSource(kind.path, words, kind.loose)))
    for sources in plan.sources.values():
        for name in (sources.symbol, sources.venue):
            if name is not None and name.path is not None:
                paths.request(name.path, _types(name))
        for source in (*([] if sources.time is None else [sources.time]), *sources.fields.values()):
            if not isinstance(source, ConstantSource):
                paths.request(source.path, _types(source))
    return paths


def _types(source: FieldSource | NameSource) -> tuple[FieldType, ...]:
    """The types a value may have, the likeliest first."""
    if isinstance(source, NumberSource):
        return ("decimal",) if source.may_be_text else ("number",)
    if isinstance(source, IntegerSource):
        return ("integer", "text") if source.may_be_text else ("integer",)
    if isinstance(source, TimeSource):
        if source.unit == "iso":
            return ("text",)
        number: FieldType = "integer" if source.unit == "ns" else "number"
        return (number, "text") if source.may_be_text else (number,)
    if isinstance(source, EnumSource):
        return _types_of_words(source) if source.loose else ("text",)
    return (
        ("text", "integer")
        if isinstance(source, PlainTextSource | NameSource) and source.loose
        else ("text",)
    )


def _types_of_words(words: EnumSource) -> tuple[FieldType, ...]:
    texts = list(words.means)
    flags = [text for text in texts if _word(text, 0).flag >= 0]
    integers = [text for text in texts if _word(text, 0).is_integer]
    counts: dict[FieldType, int] = {"text": len(texts) - len(flags) - len(integers)}
    counts |= {"integer": len(integers)} if integers else {}
    counts |= {"flag": len(flags)} if flags else {}
    return tuple(sorted(counts, key=counts.__getitem__, reverse=True))


_INT64 = np.iinfo(np.int64)


def _word(text: str, means: int) -> Word:
    digits = text.removeprefix("-")
    integer = int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    if integer is None or str(integer) != text or not _INT64.min <= integer <= _INT64.max:
        return Word(0, 0, {"true": 1, "false": 0}.get(text, -1), means)
    return Word(1, integer, -1, means)


def _amounts(name: str, source: FieldSource) -> tuple[float, float, float, float]:
    bounds = FIELDS[name].bounds
    if bounds is None:
        return (0.0, 0.0, 0.0, 1.0)
    if isinstance(source, ConstantSource):
        value = source.value
        if isinstance(value, str) or not _within(value, bounds):
            raise ValueError(f"{name}: {value!r} is not in {bounds}")
        return (float(value), 0.0, 0.0, 1.0)
    factor = 1.0
    if isinstance(source, NumberSource):
        factor = -source.factor if source.divided else source.factor
    return (bounds.low, bounds.high, float(bounds.above), factor)


def _within(value: float, bounds: Bounds) -> bool:
    above = value > bounds.low if bounds.above else value >= bounds.low
    return above and value <= bounds.high and (not bounds.whole or isinstance(value, int))
