"""What a sample of a topic's records decodes to: counts, ranges, times, and the first mistake."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.alert import rfc3339
from alerts.durations import lasting
from alerts.plain_text import one_line
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import FIELDS_BY_KIND, KIND_NAMES
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import FORMATS, DecodeContext, build_format
from streamer.decoding.value_parsing import NS_PER
from streamer.messages.batch import Batch, DeadLetter, Decoded, Instrument
from streamer.messages.records import NO_TIME, Record
from streamer.messages.texts import ABSENT
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.finer_units import with_fitting_unit
from streamer.pipeline.plan import Feed, Plan
from streamer.pipeline.rule_logs import LogFields
from streamer.sources.kafka.topic_sample import SampledTopic

_RANGES = ("price", "bid_price", "value")  # the first of these that occurs is told with its range
_EXCERPT = 60  # characters of a record, and of its keys, that are shown
_DAY_NS = 86_400 * NS_PER_SECOND
_EARLIEST_NS = 631_152_000 * NS_PER_SECOND  # 1990: no electronic tape that is read as JSON is older


@dataclass(frozen=True, slots=True)
class SampledEvents:
    """A decoded sample.

    Parameters
    ----------
    said
        What it holds, in words.
    problems
        What makes it useless as it is read, each with cause and remedy.
    notes
        What may be meant.
    fields
        Kinds and fields of its events; None without events.
    prices
        Medians by instrument and by what was measured, such as ``trade price``.
    """

    said: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fields: LogFields | None = None
    prices: Mapping[tuple[Instrument, str], float] = field(default_factory=dict)


def decode_sample(plan: Plan, topic: str, looked: SampledTopic) -> SampledEvents:
    """Decode a sample as the plan says.

    Parameters
    ----------
    plan
        How topics are read.
    topic
        Its topic.
    looked
        The records.
    """
    feed = plan.feed(topic)
    if looked.is_empty or feed is None:
        return SampledEvents("empty: nothing to try its format on")
    if not looked.records:
        return SampledEvents("no record could be read")
    context = feed.context(topic)
    parts = {number: feed.format.decode(of, context) for number, of in looked.records.items()}
    records = [record for of in looked.records.values() for record in of]
    good = sum(_events_of(part) for part in parts.values())
    ignored = sum(sum(part.ignored.values()) for part in parts.values())
    batches = [part.batch for part in parts.values() if len(part.batch)]
    said = [f"{good:,} of {len(records):,} are events"]
    said += [each for each in (_range(batches), _kinds(batches)) if each]
    if ignored:
        names = ", ".join(dict.fromkeys(one_line(name) for part in parts.values() for name in part.ignored))
        said.append(f"{ignored:,} known but not used ({names[:_EXCERPT]})")
    mistake = _first_mistake(feed, topic, parts, records)
    problems, notes = _times(plan, feed, batches)
    if not good and not ignored:
        problems = [mistake or "none of its records is an event: look at its format", *problems]
    elif mistake is not None:
        notes = [mistake, *notes]
    elif not good:
        notes = ["none of its records is used: is this the topic that was meant?", *notes]
    return SampledEvents("; ".join(said), tuple(problems), tuple(notes), _fields(batches), _prices(batches))


def _events_of(decoded: Decoded) -> int:
    """Records that gave events, and nothing else."""
    dead = {letter.offset for letter in decoded.dead}
    return len(set(decoded.batch.offset.tolist()) - dead)


def _column(batches: Iterable[Batch], name: str) -> NDArray[np.float64]:
    found = [batch.numbers[name] for batch in batches if name in batch.numbers]
    whole = np.concatenate(found) if found else np.empty(0)
    return whole[np.isfinite(whole)]


def _range(batches: list[Batch]) -> str:
    for name in _RANGES:
        values = _column(batches, name)
        if len(values):
            low, high = (f"{end:,.6g}" for end in (values.min(), values.max()))
            return f"{name} {low}" if low == high else f"{name} {low} to {high}"
    return ""


def _kinds(batches: list[Batch]) -> str:
    kinds = sorted({int(kind) for batch in batches for kind in np.unique(batch.kind)})
    if not kinds:
        return ""
    names = ", ".join(KIND_NAMES[kind] for kind in kinds)
    instruments = {batch.instruments[i] for batch in batches for i in np.unique(batch.instrument)}
    plural = "" if len(instruments) == 1 else "s"
    many = f"{len(kinds)} kind{'' if len(kinds) == 1 else 's'} ({names})"
    return f"{many}; {len(instruments):,} instrument{plural}"


def _fields(batches: list[Batch]) -> LogFields | None:
    fields: dict[str, frozenset[str]] = {}
    for batch in batches:
        for number in np.unique(batch.kind):
            rows, kind = batch.kind == number, KIND_NAMES[number]
            there = {name for name, column in batch.numbers.items() if not np.isnan(column[rows]).all()}
            there |= {name for name in batch.texts if (batch.texts[name][rows] != ABSENT).any()}
            fields[kind] = fields.get(kind, frozenset()) | (there & FIELDS_BY_KIND[kind])
    return fields or None


def _prices(batches: list[Batch]) -> dict[tuple[Instrument, str], float]:
    values: dict[tuple[Instrument, str], list[NDArray[np.float64]]] = {}
    for batch in batches:
        for kind, name in (("trade", "price"), ("order", "price"), ("quote", "bid_price")):
            if name not in batch.numbers:
                continue
            rows = batch.kind == KIND_NAMES.index(kind)
            for number in np.unique(batch.instrument[rows]):
                of = batch.numbers[name][rows & (batch.instrument == number)]
                key = batch.instruments[number], f"{kind} {name}"
                values.setdefault(key, []).append(of[np.isfinite(of)])
    medians = {key: np.concatenate(found) for key, found in values.items()}
    return {key: float(np.median(found)) for key, found in medians.items() if len(found)}


def _first_mistake(feed: Feed, topic: str, parts: Mapping[int, Decoded], records: list[Record]) -> str | None:
    letters = [(number, letter) for number, part in parts.items() for letter in part.dead]
    if not letters:
        return None
    number, letter = letters[0]
    letter = with_fitting_unit(letter, NO_TIME)
    count = len({(of, each.offset) for of, each in letters})
    plural = "" if count == 1 else "s"
    first = f"{count:,} dead letter{plural}, the first" if count < len(records) else "first mistake"
    where = f"{topic}[{number}] offset {letter.offset}"
    what = f"{letter.reason}: {one_line(letter.detail)}"
    return f"{first}: {where}: {what} in {_excerpt(letter)}; {_remedy(feed, topic, letter, records)}"


def _excerpt(letter: DeadLetter) -> str:
    if letter.value is None:
        return "a null value"
    text = one_line(letter.value[: 4 * _EXCERPT].decode("utf-8", "replace"))
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def _remedy(feed: Feed, topic: str, letter: DeadLetter, records: list[Record]) -> str:
    reason = letter.reason
    if reason == Reason.NO_VENUE:
        return "give the topic a `venue`"
    if reason == Reason.NULL_VALUE:
        return "tombstones of a compacted topic: `ignore: [tombstone]`"
    if reason in (Reason.BAD_JSON, Reason.BAD_UTF8, Reason.NOT_AN_OBJECT, Reason.TOO_DEEP):
        return "formats read JSON objects: name another topic, or publish JSON there"
    other = _better_preset(feed, topic, records)
    if other is not None:
        return f"the preset {other} reads it: `format: {other}`"
    if reason in (Reason.WRONG_UNIT, Reason.OUT_OF_BOUNDS):
        return "change `unit` or `scale` in its format"
    keys = _keys(letter)
    has = f": the record has {keys}" if keys else ""
    if reason == Reason.UNKNOWN_KIND:
        return f"map the word in `event_type`, or put it under `ignore`{has}"
    return f"change the paths of its format{has}"


def _keys(letter: DeadLetter) -> str:
    try:
        document = json.loads(letter.value or b"")
    except (ValueError, RecursionError):
        return ""
    keys = ", ".join(one_line(key) for key in document) if isinstance(document, dict) else ""
    return keys if len(keys) <= _EXCERPT else f"{keys[: _EXCERPT - 1]}…"


def _better_preset(feed: Feed, topic: str, records: list[Record]) -> str | None:
    """The preset that reads most of the records where the format reads next to none."""
    context = DecodeContext(topic, feed.venue or "any")
    reads = {
        name: len(set(form.decode(records, context).batch.offset.tolist()))
        for name, form in (
            (name, build_format(FormatSettings.model_validate(name)))
            for name in FORMATS
            if name not in ("generic", feed.format.name)
        )
    }
    best = max(reads, key=lambda name: reads[name])
    return best if reads[best] > len(records) // 2 else None


def _times(plan: Plan, feed: Feed, batches: list[Batch]) -> tuple[list[str], list[str]]:
    """What is wrong with event times, against those of their records, or else now."""
    if not batches:
        return [], []
    ts = np.concatenate([batch.ts for batch in batches])
    record_ts = np.concatenate([batch.record_ts for batch in batches])
    timed = record_ts != NO_TIME
    now_ns = time.time_ns()
    reference = int(np.median(record_ts[timed])) if timed.any() else now_ns
    middle = int(np.median(ts))
    of = rfc3339(middle)[:16].replace("T", " ")
    whose = "their records'" if timed.any() else "now"
    if abs(middle - reference) > _DAY_NS:
        fitting = _fitting_unit(feed, batches, middle, reference)
        if fitting:
            return [f"wrong_unit: event times are of {of}, {fitting}"], []
    if middle < _EARLIEST_NS:
        return [f"wrong_unit: event times are of {of}: check the path and unit of `ts_event`"], []
    ahead = int(np.count_nonzero(ts[timed] - record_ts[timed] > plan.max_ahead_ns))
    if ahead:
        most = lasting(int((ts[timed] - record_ts[timed]).max()) / NS_PER_SECOND).replace(" ", "")
        told = (
            f"ts_ahead: {ahead:,} of {np.count_nonzero(timed):,} event times are past {whose} by up to "
            f"{most}, and become dead letters: check `ts_event`, its unit and zone, or engine.max_ahead"
        )
        return ([told], []) if 2 * ahead > np.count_nonzero(timed) else ([], [told])
    behind_s = (reference - middle) / NS_PER_SECOND
    if behind_s > _DAY_NS / NS_PER_SECOND:
        return [], [f"event times are {lasting(behind_s).replace(' ', '')} before {whose}"]
    return [], []


def _fitting_unit(feed: Feed, batches: list[Batch], middle: int, reference: int) -> str:
    kinds = {KIND_NAMES[int(kind)] for batch in batches for kind in np.unique(batch.kind)}
    declared = {feed.format.time_units[kind] for kind in kinds if kind in feed.format.time_units}
    if len(declared) != 1:
        return ""
    (unit,) = declared
    for other, factor in NS_PER.items():
        shifted = middle * factor // NS_PER[unit]
        close = abs(shifted - reference) <= _DAY_NS
        plausible = middle < _EARLIEST_NS <= shifted <= reference + _DAY_NS
        if other != unit and (close or plausible):
            known = "set" if feed.format.name == "generic" else "send"
            return (
                f"read in {unit}; in {other} they are of {rfc3339(shifted)[:10]}: {known} unit {other} "
                "for `ts_event`"
            )
    return ""
