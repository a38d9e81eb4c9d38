"""Finds how far a damaged part of a log reaches: up to the next offset with a sound batch.

The header of a damaged batch is not believed, since its offsets may be what is damaged. A batch is sound if
it lies where it says, its checksum is right and all its records can be read. The next one is looked for among
the bytes that a broker returns at the damaged offset, else by fetching at later offsets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kafka import errors

from streamer.sources.kafka.checked_batches import BatchBounds, CheckedBatches
from streamer.sources.kafka.checked_records import reason_of
from streamer.sources.kafka.unpacking import MissingCodecError

_FORMAT = 2
_STEPS_BACK = 16  # an earlier offset is looked for up to 32,768 before: brokers index every 4 KB
_LINEAR_PROBES = 16  # offsets tried one by one, before steps double: batches are often this small

Fetch = Callable[[int], memoryview]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a log holds at an offset.

    Parameters
    ----------
    next_offset
        The offset at which reading goes on; the offset itself if it can be read, None if unknown.
    fetch
        The offset to fetch at in order to read it; the broker may not find `next_offset` itself.
    cause
        What is wrong at the offset; empty if it can be read.
    seen
        Whether one fetch returned both the damage and the sound batch behind it. Else fetches that returned
        nothing count as proof, and a broker that is only slow returns nothing too.
    """

    next_offset: int | None
    fetch: int = 0
    cause: str = ""
    seen: bool = False


@dataclass(frozen=True, slots=True)
class SurveyedLog:
    """A log to survey.

    Parameters
    ----------
    fetch
        Fetches at an offset: record batches, empty where the broker returns none or cannot read them.
    end
        One past the last offset that may be read.
    max_unpacked
        How many bytes one batch may unpack to.
    """

    fetch: Fetch
    end: int
    max_unpacked: int

    def first_sound(self, offset: int, at: int | None = None, *, passes: bool = True) -> int | None:
        """Where the first sound batch begins that a fetch returns and that holds an offset or later ones."""
        return self.look(offset, at, passes=passes).sound

    def look(self, offset: int, at: int | None = None, *, passes: bool = True) -> _Look:
        """Fetch at an offset, or at an earlier one, and look for the first sound batch there or behind."""
        data = self.fetch(offset if at is None else at)
        return _Look(data, BatchBounds(offset, lambda: self.end, self.max_unpacked), passes=passes)


def survey(log: SurveyedLog, offset: int) -> Survey:
    """Find the next offset from which a log can be read.

    Parameters
    ----------
    log
        The log.
    offset
        The first offset that could not be read.

    Returns
    -------
    Survey
        Without `next_offset` where the broker returns nothing here, and nothing sound is found behind: then
        nothing proves that anything is damaged.
    """
    if offset >= log.end:
        return Survey(offset, offset)
    here = log.look(offset)
    if here.sound is None:
        found = _without(log, offset, here)
        here = here if here.any else log.look(offset)
        if here.sound is None:
            return found
    after = max(here.sound, offset)
    direct = after == offset or log.first_sound(after, passes=False) == after
    return Survey(after, after if direct else offset, here.cause, seen=True)


def _without(log: SurveyedLog, offset: int, here: _Look) -> Survey:
    """Survey a log of which a fetch at the offset returns nothing sound."""
    cause = here.cause or "the broker returns no records here, although the log goes on"
    before = None if here.any else _look_before(log, offset)
    if before is not None:
        at, found = before
        return Survey(max(found, offset), at, cause if found > offset else "")
    after_all = _search(log, offset)
    if after_all is None and here.any:
        after_all = log.end
    return Survey(after_all, after_all or 0, cause)


def _look_before(log: SurveyedLog, offset: int) -> tuple[int, int] | None:
    """An earlier offset at which a fetch returns the next sound batch too, and where that begins.

    A broker walks from header to header, and finds nothing behind a length that is damaged.
    """
    for step in (2**exponent for exponent in range(_STEPS_BACK)):
        if step > offset:
            return None
        try:
            found = log.first_sound(offset, offset - step)
        except errors.OffsetOutOfRangeError:
            return None
        if found is not None:
            return offset - step, found
    return None


def _search(log: SurveyedLog, damaged: int) -> int | None:
    """The next offset of a sound batch: by steps that double after the first few, then by bisection."""
    low, step, found = damaged, 1, None
    while found is None and low < log.end - 1:
        high = min(low + step, log.end - 1)
        found = log.first_sound(high)
        if found is None:
            low = high
            step = 1 if low - damaged < _LINEAR_PROBES else 2 * step
    if found is None:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        nearer = log.first_sound(middle)
        if nearer is None:
            low = middle
        else:
            found, high = min(found, nearer), middle
    return max(found, damaged + 1)


class _Look:
    """Looks for the first sound batch at or behind an offset among fetched bytes.

    `sound` is its first offset, None where there is none; `cause` says what is wrong with what lies before;
    `any` is False where nothing was fetched.
    """

    def __init__(self, data: memoryview, bounds: BatchBounds, *, passes: bool = True) -> None:
        self.sound: int | None = None
        self.cause = ""
        self.any = len(data) > 0
        self._offset = bounds.offset
        if self.any:
            more = self._judge(data, bounds) or passes
            while passes and more and self.sound is None:
                more = self._judge(data, replace(bounds, offset=self._offset, passes=True))

    def _judge(self, data: memoryview, bounds: BatchBounds) -> bool:
        """Judge the first batch within bounds that lies at the offset or behind; False if there is none."""
        batches = CheckedBatches(data, bounds)
        batch: Any = None
        try:
            while (batch := batches.next_batch()) is not None:
                first, last = _check(batch)
                if last >= bounds.offset:
                    self.sound = first
                    return True
            if not self.cause:
                self.cause = "a record batch is cut off, or its length is damaged"
        except MissingCodecError:
            self.sound = batch.base_offset
            return True
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - damaged bytes may raise anything
            self.cause = self.cause or reason_of(error)
            if batch is not None and bounds.passes:
                last = batch.base_offset if batch.magic < _FORMAT else batch.last_offset
                self._offset = max(last, self._offset) + 1
        return batch is not None


def _check(batch: Any) -> tuple[int, int]:
    """The first and last offset of a batch; raises if it is damaged."""
    if not batch.validate_crc():
        raise ValueError("a record batch has a wrong checksum")
    first = batch.base_offset
    last = first if batch.magic < _FORMAT else batch.last_offset
    for record in batch:
        if not record.validate_crc():
            raise ValueError("a message has a wrong checksum")
        first = min(first, record.offset)  # an old format's compressed message has the offset of its last
    return first, last
