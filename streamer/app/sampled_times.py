"""The times of a sample's events, each judged as the fold judges it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.alert import rfc3339
from alerts.durations import lasting
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import KIND_NAMES
from streamer.decoding.value_parsing import NS_PER
from streamer.messages.batch import Batch, Decoded
from streamer.messages.records import NO_TIME
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.admission import admit, digits_of
from streamer.pipeline.clock_guard import ClockGuard
from streamer.pipeline.instrument_slots import Slots
from streamer.pipeline.plan import Feed, Plan

Place = tuple[int, int]
"""A record: its partition and offset."""

_DAY_NS = 86_400 * NS_PER_SECOND
_YEAR_NS = 365 * _DAY_NS
_EARLIEST_NS = 631_152_000 * NS_PER_SECOND  # 1990: no electronic tape that is read as JSON is older


@dataclass(frozen=True, slots=True)
class SampledTimes:
    """What the times of a sample are worth.

    Parameters
    ----------
    dead
        Records that become dead letters for their times.
    useless
        Records whose times cannot be meant, although they are no dead letters.
    mistakes
        Both in words, each with the first record.
    whole
        What is wrong with all times alike.
    notes
        What may be meant.
    """

    dead: frozenset[Place] = frozenset()
    useless: frozenset[Place] = frozenset()
    mistakes: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """One event whose time is refused, or far off: its record, how far ahead or behind it is, and why."""

    place: Place
    off_ns: int
    ts: int
    detail: str = ""


def judge_times(
    plan: Plan, feed: Feed, topic: str, parts: Mapping[int, Decoded], n_records: int
) -> SampledTimes:
    """Judge the times of a sample.

    Parameters
    ----------
    plan, feed, topic
        How events are judged, how the topic is read, and its name.
    parts
        What its partitions decoded to.
    n_records
        How many records there are.
    """
    decoded = {number: part for number, part in parts.items() if len(part.batch)}
    if not decoded:
        return SampledTimes()
    found: dict[str, list[_Found]] = {Reason.WRONG_UNIT: [], Reason.TS_AHEAD: [], "far": [], "old": []}
    near, offs, taken = False, list[NDArray[np.int64]](), list[NDArray[np.bool_]]()
    for number, part in decoded.items():
        off = part.batch.ts - _references(part.batch)
        near |= bool((np.abs(off) <= _DAY_NS).any())
        offs.append(off)
        taken.append(_judge(ClockGuard(plan.max_ahead_ns), digits_of(feed.format), number, part, found))
    middle_off = _middle(offs, taken)
    dead = frozenset(each.place for why in (Reason.WRONG_UNIT, Reason.TS_AHEAD) for each in found[why])
    if not near:
        batches = [part.batch for part in decoded.values()]
        whole = _alike(feed, batches, _middle([batch.ts for batch in batches], taken), middle_off)
        if whole:
            return SampledTimes(dead, whole=whole)
    of = rfc3339(found["far"][0].ts)[:10] if found["far"] else ""
    mistakes = (
        *_told(
            topic, found[Reason.WRONG_UNIT], n_records,
            "wrong_unit: {} are in another unit than the others, and become dead letters",
            "have all of its producers send one unit",
        ),
        *_ahead(topic, found[Reason.TS_AHEAD], n_records),
        *_told(
            topic, found["far"], n_records,
            f"wrong_unit: {{}} are of times that nobody means, such as {of}",
            "check the path and unit of `ts_event`, and its producers",
        ),
    )  # fmt: skip
    notes = () if mistakes and near else _behind(middle_off)
    if not notes:
        notes = _told(topic, found["old"], n_records, "{} are a year and more before their records'", "")
    return SampledTimes(dead, frozenset(each.place for each in found["far"]), mistakes, (), notes)


def _references(batch: Batch) -> NDArray[np.int64]:
    """What each event's time is held against: its record's, or else now."""
    return np.where(batch.record_ts == NO_TIME, np.int64(time.time_ns()), batch.record_ts)


def _judge(
    guard: ClockGuard,
    digits: NDArray[np.int8],
    number: int,
    decoded: Decoded,
    found: Mapping[str, list[_Found]],
) -> NDArray[np.bool_]:
    """Sort the events of one partition that are refused, or far off, and return which are not refused."""
    batch = decoded.batch
    off = batch.ts - _references(batch)
    admitted = admit(decoded, guard, Slots(len(batch.instruments) + 1), digits[np.newaxis], 0)
    rows = {
        (int(at), int(of)): row for row, (at, of) in enumerate(zip(batch.offset, batch.index, strict=True))
    }
    refused = set[int]()
    for _, letter in admitted.dead:
        row = rows[letter.offset, letter.index]
        refused.add(row)
        at = _Found((number, letter.offset), int(off[row]), int(batch.ts[row]), letter.detail)
        found[letter.reason].append(at)
    for row in np.flatnonzero((np.abs(off) > _YEAR_NS) | (batch.ts < _EARLIEST_NS)).tolist():
        if row not in refused:
            kind = "old" if off[row] < 0 and batch.ts[row] >= _EARLIEST_NS else "far"
            found[kind].append(_Found((number, int(batch.offset[row])), int(off[row]), int(batch.ts[row])))
    return ~np.isin(np.arange(len(batch)), list(refused))


def _middle(values: list[NDArray[np.int64]], taken: list[NDArray[np.bool_]]) -> int:
    """The median of those that are not refused, or of all where all are."""
    whole, of = np.concatenate(values), np.concatenate(taken)
    return int(np.median(whole[of] if of.any() else whole))


def _told(topic: str, found: list[_Found], n_records: int, what: str, remedy: str) -> tuple[str, ...]:
    if not found:
        return ()
    first, count = found[0], len({each.place for each in found})
    where = f"{topic}[{first.place[0]}] offset {first.place[1]}"
    why = f": {first.detail.partition(': declare')[0]}" if first.detail else ""
    many = what.format(f"the event times of {count:,} of {n_records:,} records")
    return (f"{many}, the first: {where}{why}{f'; {remedy}' if remedy else ''}",)


def _ahead(topic: str, found: list[_Found], n_records: int) -> tuple[str, ...]:
    if not found:
        return ()
    most = lasting(max(each.off_ns for each in found) / NS_PER_SECOND).replace(" ", "")
    first, count = found[0], len({each.place for each in found})
    return (
        f"ts_ahead: the event times of {count:,} of {n_records:,} records are past their records' by up to "
        f"{most}, and become dead letters, the first: {topic}[{first.place[0]}] offset {first.place[1]}; "
        "check `ts_event`, its unit and zone, or engine.max_ahead",
    )


def _behind(middle_ns: int) -> tuple[str, ...]:
    if middle_ns >= -_DAY_NS:
        return ()
    behind = lasting(-middle_ns / NS_PER_SECOND).replace(" ", "")
    return (f"event times are {behind} before their records'",)


def _alike(feed: Feed, batches: list[Batch], middle: int, off_ns: int) -> tuple[str, ...]:
    """What is wrong with all times where none is within a day of its record's."""
    of = rfc3339(middle)[:16].replace("T", " ")
    fitting = _fitting_unit(feed, batches, middle, middle - off_ns)
    if fitting:
        return (f"wrong_unit: event times are of {of}, {fitting}",)
    if middle < _EARLIEST_NS:
        return (f"wrong_unit: event times are of {of}: check the path and unit of `ts_event`",)
    return ()


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
