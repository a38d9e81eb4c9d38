"""What a sample of a topic's records decodes to: counts, ranges, times, and the first mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.plain_text import one_line
from streamer.app.sampled_mistakes import first_mistake
from streamer.app.sampled_times import Place, judge_times
from streamer.decoding.event_fields import FIELDS_BY_KIND, KIND_NAMES
from streamer.messages.batch import Batch, Decoded, Instrument
from streamer.messages.texts import ABSENT
from streamer.pipeline.plan import Plan
from streamer.pipeline.rule_logs import LogFields
from streamer.sources.kafka.topic_sample import SampledTopic

_RANGES = ("price", "bid_price", "value")  # the first of these that occurs is told with its range
_EXCERPT = 60  # characters of names that are shown
_NEARLY_ALL, _MANY_QUOTES = 0.9, 20
"""Of the quotes; fewer may be those of an auction or a thin book, where bids are above asks for a while."""

_MANY_DEAD, _DEAD_SHARE = 3, 0.1  # from that many on, and above that share, dead letters are a problem


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
    times = judge_times(plan, feed, topic, parts, len(records))
    good = len({place for number, part in parts.items() for place in _events_of(number, part)} - times.dead)
    ignored = sum(sum(part.ignored.values()) for part in parts.values())
    batches = [part.batch for part in parts.values() if len(part.batch)]
    said = [f"{good:,} of {len(records):,} are events"]
    said += [each for each in (_range(batches), _kinds(batches)) if each]
    if ignored:
        names = ", ".join(dict.fromkeys(one_line(name) for part in parts.values() for name in part.ignored))
        said.append(f"{ignored:,} known but not used ({names[:_EXCERPT]})")
    mistake = first_mistake(feed, topic, parts, records)
    dead = times.dead | {(number, letter.offset) for number, part in parts.items() for letter in part.dead}
    problems, notes = list(times.whole), list(times.notes)
    told = [*([] if mistake is None else [mistake]), *times.mistakes]
    wrong = len(dead | times.useless)
    crossed, is_proof = _crossed(batches)
    (problems if is_proof else notes).extend(crossed)
    if not good and not ignored:
        problems = [*told, *problems] or ["none of its records is an event: look at its format"]
    elif wrong >= _MANY_DEAD and wrong > _DEAD_SHARE * len(records):
        problems = [*told, *problems] or [f"{wrong:,} of {len(records):,} records are dead letters"]
    elif told:
        notes = [*told, *notes]
    elif not good:
        notes = ["none of its records is used: is this the topic that was meant?", *notes]
    return SampledEvents(
        "; ".join(said),
        tuple(problems),
        tuple(notes),
        _fields(batches),
        _prices(batches),
        len(dead),
        None if feed.format.name == "generic" else feed.format.name,
        {number: _instruments([part.batch]) for number, part in parts.items()},
    )


def _events_of(number: int, decoded: Decoded) -> set[Place]:
    """Records that gave events, and nothing else."""
    dead = {letter.offset for letter in decoded.dead}
    return {(number, offset) for offset in set(decoded.batch.offset.tolist()) - dead}


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


def _crossed(batches: list[Batch]) -> tuple[list[str], bool]:
    """That bids are above asks in nearly all quotes, and whether there are enough to tell by."""
    crossed = quotes = 0
    for batch in batches:
        if "bid_price" in batch.numbers and "ask_price" in batch.numbers:
            bid, ask = batch.numbers["bid_price"], batch.numbers["ask_price"]
            quotes += int(np.count_nonzero(np.isfinite(bid) & np.isfinite(ask)))
            crossed += int(np.count_nonzero(bid > ask))
    if not crossed or crossed < _NEARLY_ALL * quotes:
        return [], False
    told = (
        f"crossed: in {crossed:,} of {quotes:,} quotes the bid is above the ask: the paths of bid_price and "
    )
    if quotes >= _MANY_QUOTES:
        return [f"{told}ask_price are swapped, in its format or by its producer"], True
    return [f"{told}ask_price may be swapped, unless its book is crossed, as in an auction"], False


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
