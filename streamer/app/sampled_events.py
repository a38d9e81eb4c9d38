"""What a sample of a topic's records decodes to: counts, ranges, times, and the first mistake."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.alert import rfc3339
from alerts.durations import lasting
from alerts.plain_text import one_line
from streamer.app.sampled_mistakes import first_mistake
from streamer.decoding.event_fields import FIELDS_BY_KIND, KIND_NAMES
from streamer.decoding.value_parsing import NS_PER
from streamer.messages.batch import Batch, Decoded, Instrument
from streamer.messages.records import NO_TIME
from streamer.messages.texts import ABSENT
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.plan import Feed, Plan
from streamer.pipeline.rule_logs import LogFields
from streamer.sources.kafka.topic_sample import SampledTopic

_RANGES = ("price", "bid_price", "value")  # the first of these that occurs is told with its range
_EXCERPT = 60  # characters of names that are shown
_MANY_DEAD, _DEAD_SHARE = 3, 0.1  # from that many on, and above that share, dead letters are a problem
_DAY_NS = 86_400 * NS_PER_SECOND
_EARLIEST_NS = 631_152_000 * NS_PER_SECOND  # 1990: no electronic tape that is read as JSON is older


@dataclass(frozen=True, slots=True)
class SampledPrices:
    """Prices of one instrument in a sample: their median, and how many there are."""

    median: float
    count: int


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
        By instrument and by what was measured, such as ``trade price``.
    dead
        How many of its records are dead letters.
    preset
        The preset that it was read with, None for a mapping.
    instruments
        Its instruments, by partition.
    """

    said: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fields: LogFields | None = None
    prices: Mapping[tuple[Instrument, str], SampledPrices] = field(default_factory=dict)
    dead: int = 0
    preset: str | None = None
    instruments: Mapping[int, frozenset[Instrument]] = field(default_factory=dict)


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
    mistake = first_mistake(feed, topic, parts, records)
    dead = len({(number, letter.offset) for number, part in parts.items() for letter in part.dead})
    problems, notes = _times(plan, feed, batches)
    if not good and not ignored:
        problems = [mistake or "none of its records is an event: look at its format", *problems]
    elif mistake is not None and dead >= _MANY_DEAD and dead > _DEAD_SHARE * len(records):
        problems = [mistake, *problems]
    elif mistake is not None:
        notes = [mistake, *notes]
    elif not good:
        notes = ["none of its records is used: is this the topic that was meant?", *notes]
    return SampledEvents(
        "; ".join(said),
        tuple(problems),
        tuple(notes),
        _fields(batches),
        _prices(batches),
        dead,
        None if feed.format.name == "generic" else feed.format.name,
        {number: _instruments([part.batch]) for number, part in parts.items()},
    )


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
    instruments = _instruments(batches)
    plural = "" if len(instruments) == 1 else "s"
    many = f"{len(kinds)} kind{'' if len(kinds) == 1 else 's'} ({names})"
    return f"{many}; {len(instruments):,} instrument{plural}"


def _instruments(batches: Iterable[Batch]) -> frozenset[Instrument]:
    return frozenset(batch.instruments[i] for batch in batches for i in np.unique(batch.instrument))


def _fields(batches: list[Batch]) -> LogFields | None:
    fields: dict[str, frozenset[str]] = {}
    for batch in batches:
        for number in np.unique(batch.kind):
            rows, kind = batch.kind == number, KIND_NAMES[number]
            there = {name for name, column in batch.numbers.items() if not np.isnan(column[rows]).all()}
            there |= {name for name in batch.texts if (batch.texts[name][rows] != ABSENT).any()}
            fields[kind] = fields.get(kind, frozenset()) | (there & FIELDS_BY_KIND[kind])
    return fields or None


def _prices(batches: list[Batch]) -> dict[tuple[Instrument, str], SampledPrices]:
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
    whole = {key: np.concatenate(found) for key, found in values.items()}
    return {key: SampledPrices(float(np.median(of)), len(of)) for key, of in whole.items() if len(of)}


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
