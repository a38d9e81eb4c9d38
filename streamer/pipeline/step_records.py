"""The records of a step: the bytes of its dead letters, and how late what was found in them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamer.messages.batch import DeadLetter
from streamer.messages.outcome import Transition
from streamer.messages.records import NO_TIME, Record
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.member_queue import Fetched, offsets_of
from streamer.pipeline.merging import Step


def index_of(records: Sequence[Record], offset: int) -> int:
    """The index of the first record at or after an offset."""
    return int(np.searchsorted(offsets_of(records), offset))


def with_bytes(dead: Sequence[DeadLetter], step: Step | None) -> tuple[DeadLetter, ...]:
    """Add each dead letter's record value; one that stands for a range has none."""
    return tuple(
        replace(letter, value=_record(step, letter.source, letter.offset)[0].value)
        if letter.last_offset is None and step is not None
        else letter
        for letter in dead
    )


def behind_s(transitions: Sequence[Transition], step: Step | None) -> dict[tuple[str, int], float]:
    """How far behind the newest record of their log these were found, in seconds, by id and number.

    What a timer or a reload causes is news: timers come only at the end of a log.
    """
    behind: dict[tuple[str, int], float] = {}
    for each in transitions:
        if each.offset is None:
            behind[each.alert_id, each.number] = 0.0
        elif step is not None:
            record, fetched = _record(step, each.source, each.offset)
            if NO_TIME not in (fetched.newest_ns, record.timestamp):
                late_s = max(fetched.newest_ns - record.timestamp, 0) / NS_PER_SECOND
                behind[each.alert_id, each.number] = min(late_s, fetched.most_behind_s)
    return behind


def _record(step: Step, source: int, offset: int) -> tuple[Record, Fetched]:
    """A record that was folded, and what was known when it was fetched."""
    part = next(part for part in step.parts if part.place == source and part.records[-1].offset >= offset)
    return part.records[index_of(part.records, offset)], part.fetched
