"""A plan as the flat arrays that kernels take."""

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
from streamer.decoding.columns.field_paths import PathFields, Paths
from streamer.decoding.columns.plan_codes import (
    FIXED,
    LEFT,
    NUMBER,
    TEXT,
    TIME,
    TO_CODE,
    TO_NUMBER,
    TO_TEXT,
    TO_TIME,
    WHOLE,
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
class Flat:
    """A plan for the kernels.

    Parameters
    ----------
    scanners
        What reads the rows, the first all of them.
    kind
        int64[1, …], the `FieldEntry` of kinds; None where all are of the kind `only_kind`.
    names
        Fields in the order of their numbers.
    starts
        int64[kinds + 1], where each kind's entries begin.
    entries, amounts
        int64[e, …] as `FieldEntry` has it; float64[e, 4]: the lowest and the highest number or the constant,
        whether the lowest is too low (1), what to multiply by, or, where negative, to divide by.
    letters, word_starts, words
        uint8, int64[w + 1], int64[w, …]: the words' texts and what they stand for (`Word`).
    texts
        What texts words can mean, by `Word.means` of columns of texts.
    ignored
        Names of what is only counted, by ``LEFT - 1 - means``.
    found
        Where paths come out.
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
    found: Mapping[Path, PathFields]


class _Flattening:
    def __init__(self, plan: EventPlan) -> None:
        self.plan = plan
        self.letters = b""
        self.word_starts = [0]
        self.words: list[Word] = []
        self.texts: list[str] = []
        self.names: list[str] = []
        self.scanners, self.found = _asked(plan).scanners()

    def flat(self) -> Flat:
        kind, ignored = self._kinds(self.plan.kinds)
        starts, entries, amounts = [0], [], []
        for name in KIND_NAMES:
            wanted = self.plan.wanted.get(name)
            if wanted is not None:
                if wanted.time is not None:
                    entries.append(self._entry(wanted.time, TO_TIME))
                    amounts.append((0.0, float(TIME_MAX_NS), 0.0, 1.0))
                for field, source in wanted.fields.items():
                    entries.append(self._field(name, field, source))
                    amounts.append(_amounts(field, source))
            starts.append(len(entries))
        only = self.plan.kinds.constant
        return Flat(
            scanners=self.scanners,
            kind=None if kind is None else np.array([kind], np.int64),
            only_kind=KIND_NAMES.index(only) if only else LEFT,
            names=tuple(self.names),
            starts=np.array(starts, np.int64),
            entries=np.array(entries, np.int64).reshape(-1, len(FieldEntry._fields)),
            amounts=np.array(amounts, np.float64).reshape(-1, 4),
            letters=np.frombuffer(self.letters + b"\0", np.uint8).copy(),
            word_starts=np.array(self.word_starts, np.int64),
            words=np.array(self.words, np.int64).reshape(-1, len(Word._fields)),
            texts=tuple(self.texts),
            ignored=tuple(ignored),
            found=MappingProxyType(self.found),
        )

    def _kinds(self, kinds: KindSource) -> tuple[FieldEntry | None, list[str]]:
        if kinds.path is None:
            return None, []
        means = {
            word: KIND_NAMES.index(kind) if kind in self.plan.wanted else LEFT
            for word, kind in kinds.means.items()
        }
        ignored = list(dict.fromkeys(kinds.ignored))
        means |= {word: LEFT - 1 - number for number, word in enumerate(ignored)}
        entry = self._entry(EnumSource(kinds.path, dict.fromkeys(means, ""), kinds.loose), TO_CODE, means)
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
            return {word: self._meant(text, codes) for word, text in source.means.items()}
        if isinstance(source, ConstantSource):
            return {"": self._meant(str(source.value), codes)}
        return None

    def _meant(self, text: str, codes: Mapping[str, int] | None) -> int:
        if codes is not None:
            return codes[text]
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def _entry(self, source: FieldSource, to: int, means: Mapping[str, int] | None = None) -> FieldEntry:
        first = len(self.words)
        for word, meant in (means or {}).items():
            self.letters += word.encode()
            self.word_starts.append(len(self.letters))
            self.words.append(_word(word, meant))
        behind = len(self.words) if means else 0
        entry = FieldEntry(_WHAT[type(source)], to, first_word=first, behind=behind)
        if isinstance(source, ConstantSource):
            return entry
        if isinstance(source, TimeSource):
            entry = entry._replace(unit=_UNITS[source.unit], empty_is_none=1)
        found = self.found[source.path]
        allowed = _types(source)
        text = [each for each in allowed if each in {"text"}]
        value = [each for each in allowed if each in {"integer", "number", "decimal"}]
        flag = [each for each in allowed if each == "flag"]
        return entry._replace(
            first=found.first,
            text=found.field(*text),
            value=found.field(*value),
            flag=found.field(*flag),
            empty_is_none=int(
                isinstance(source, TimeSource | IntegerSource) or getattr(source, "loose", False)
            ),
        )


_WHAT = {
    NumberSource: NUMBER,
    IntegerSource: WHOLE,
    TimeSource: TIME,
    PlainTextSource: TEXT,
    EnumSource: WORD,
    ConstantSource: FIXED,
}


def flattened(plan: EventPlan) -> Flat:
    """The flat arrays of a plan.

    Raises
    ------
    ValueError
        Where kernels cannot follow it: one path leads through another's value, two types are wanted at a
        path that cannot be told apart, there are too many fields, a constant is out of its bounds.
    """
    return _Flattening(plan).flat()


def _asked(plan: EventPlan) -> Paths:
    paths = Paths()
    if plan.kinds.path is not None:
        words = dict.fromkeys((*plan.kinds.means, *plan.kinds.ignored), "")
        paths.ask(plan.kinds.path, _types(EnumSource(plan.kinds.path, words, plan.kinds.loose)))
    for wanted in plan.wanted.values():
        for name in (wanted.symbol, wanted.venue):
            if name is not None and name.path is not None:
                paths.ask(name.path, _types(name))
        for source in (*([] if wanted.time is None else [wanted.time]), *wanted.fields.values()):
            if not isinstance(source, ConstantSource):
                paths.ask(source.path, _types(source))
    return paths


def _types(source: FieldSource | NameSource) -> tuple[FieldType, ...]:
    """What types a value may have, the likeliest first."""
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
    wholes = [text for text in texts if _word(text, 0).is_whole]
    found: dict[FieldType, int] = {"text": len(texts) - len(flags) - len(wholes)}
    found |= {"integer": len(wholes)} if wholes else {}
    found |= {"flag": len(flags)} if flags else {}
    return tuple(sorted(found, key=found.__getitem__, reverse=True))


_INT64 = np.iinfo(np.int64)


def _word(text: str, means: int) -> Word:
    digits = text.removeprefix("-")
    whole = int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    if whole is None or str(whole) != text or not _INT64.min <= whole <= _INT64.max:
        return Word(0, 0, {"true": 1, "false": 0}.get(text, -1), means)
    return Word(1, whole, -1, means)


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
