"""The time of the newest record of each log, by which alerts found in a backlog are known to be late.

It is looked up at the end of the log, and not asked for as the greatest time of all records (`ListOffsets`,
KIP-734): producers choose their records' times, and one that lies ahead must not make everything late.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

import numpy as np
import structlog
from kafka import KafkaConsumer, TopicPartition
from numpy.typing import NDArray

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Chunk
from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.kafka.client_internals import ask_for_ends, log_end, position_of, wait_for
from streamer.sources.record_times import record_time

LAST_RECORDS = 100
"""How many records at the end of a log are looked at: enough that one with a wrong time is not alone."""

REFRESH_S = 5.0
"""Time between two looks at the end of a log that is not read to its end; nothing waits for them."""

USABLE_S = 30.0
"""What was known of the end of a log longer ago than this is not used; then the next look is waited for."""

WAIT_MS = 1_000
"""Longest wait for it; nothing is read meanwhile."""

_TAIL_BYTES = 65_536
_BUDGET_S = 2.0  # for the waits of a start; where a broker is slow, there are fewer of them
_BUDGET_SHARE = 0.05  # of the time, later

_log = structlog.get_logger(__name__)

Ends = Mapping[TopicPartition, int]
"""One past the last offset of logs."""


@dataclass(frozen=True, slots=True)
class _Tail:
    newest_ns: int
    at: float  # monotonic seconds


class _End(NamedTuple):
    """Up to where, and when, a log was read to its end."""

    offset: int
    at: float  # monotonic seconds


class LogTails:
    """Knows how new the newest records of the logs of a consumer are.

    While a log is read to its end that is seen in what is read. While it is not, its end is fetched: the last
    records, once in `REFRESH_S`, for all logs behind together.

    A time later than the wall clock is wrong, and counts only where all of them are later; then the newest
    record counts as one of now. A time that is too early does not matter beside right ones.

    Parameters
    ----------
    consumer
        Who reads the logs.
    now
        Wall-clock seconds.
    """

    def __init__(self, consumer: KafkaConsumer, now: Callable[[], float] = time.time) -> None:
        self._consumer = consumer
        self._now = now
        self._tails: dict[TopicPartition, _Tail] = {}
        self._asked_at: dict[TopicPartition, float] = {}
        self._asked: tuple[Any, float] | None = None
        self._ended: dict[TopicPartition, _End] = {}
        self._held: dict[TopicPartition, float] = {}
        self._polled_at = time.monotonic()
        self._budget_s = _BUDGET_S
        self._budget_at = time.monotonic()

    def at_end(self, partitions: Iterable[TopicPartition], now: float) -> None:
        """Note that all that these logs held at a time (monotonic seconds) has been read."""
        for tp in partitions:
            if (position := position_of(self._consumer, tp)) is not None:
                self._ended[tp] = _End(position, now)
            if (tail := self._tails.get(tp)) is not None:
                self._tails[tp] = replace(tail, at=now)

    def polled(self, held: Iterable[TopicPartition]) -> None:
        """Note, after each poll, of which logs records have been fetched that it did not return."""
        self._held = {tp: self._held.get(tp, self._polled_at) for tp in held}
        self._polled_at = time.monotonic()

    def most_behind_s(self, partition: TopicPartition, chunk: Chunk) -> float:
        """How far behind these records can be at most; ask before `newest`.

        What came into a log after it had been read to its end has waited no longer than since then, whatever
        the clock of its producer says. Infinite where that is not known.
        """
        end = self._ended.get(partition)
        if end is None or chunk.records[0].offset < end.offset:
            return inf
        return time.monotonic() - end.at

    def newest(self, partition: TopicPartition, chunks: Sequence[Chunk], ends: Callable[[], Ends]) -> int:
        """Time of the newest record that a log had when these records of it were fetched, in ns.

        Parameters
        ----------
        partition, chunks
            The log, and its records as they were polled, in order; at least one.
        ends
            Gives the logs that are read, with their ends when reading began: others that are behind are
            looked up together with this one.

        Returns
        -------
        int
            `NO_TIME` where it is unknown: the broker did not answer, or the records have no times.
        """
        began = time.monotonic()
        own = _newest(_last_times(chunks), int(self._now() * NS_PER_SECOND))
        end = log_end(self._consumer, partition)
        last = chunks[-1].records[-1].offset
        if end is not None and last + 1 >= end:
            # The end is that of the last fetch, which may have waited here since there were no records of it.
            self._ended[partition] = _End(last + 1, self._held.get(partition, self._polled_at))
        if end is None or last + 1 >= end:
            self._tails[partition] = _Tail(own, began)
            return own
        self._look(partition, ends, began)
        tail = self._tails.get(partition)
        if tail is None or time.monotonic() - tail.at > USABLE_S:
            return int(NO_TIME)
        return max(own, tail.newest_ns)

    def _look(self, partition: TopicPartition, ends: Callable[[], Ends], now: float) -> None:
        """Take what has been answered, and ask again where that is due; wait only if nothing is known."""
        self._budget_s = min(self._budget_s + _BUDGET_SHARE * (now - self._budget_at), _BUDGET_S)
        self._budget_at = now
        self._take_answer()
        tail = self._tails.get(partition)
        if tail is not None and now - tail.at < REFRESH_S:
            return
        if self._asked is None and self._is_due(partition, now):
            self._ask(ends(), now)
        if (tail is None or now - tail.at > USABLE_S) and self._asked is not None and self._budget_s > 0:
            wait_for(self._consumer, self._asked[0], WAIT_MS)
            self._budget_s -= time.monotonic() - now
            self._take_answer()

    def _ask(self, ends: Ends, now: float) -> None:
        wanted = {}
        for tp, known in ends.items():
            end, position = log_end(self._consumer, tp) or known, position_of(self._consumer, tp)
            if position is not None and position < end and self._is_due(tp, now):
                wanted[tp] = max(end - LAST_RECORDS, position)
        if wanted:
            self._asked_at |= dict.fromkeys(wanted, now)
            self._asked = ask_for_ends(self._consumer, wanted, _TAIL_BYTES), now

    def _take_answer(self) -> None:
        if self._asked is None or not self._asked[0].is_done:
            return
        (answer, asked_at), self._asked = self._asked, None
        if answer.exception is not None:
            _log.debug("the ends of logs cannot be fetched", reason=str(answer.exception))
            return
        now_ns = int(self._now() * NS_PER_SECOND)
        for tp, data in answer.value.items():
            newest = _newest(np.fromiter(batch_times(data), np.int64), now_ns)
            if newest != NO_TIME:
                self._tails[tp] = _Tail(newest, asked_at)

    def _is_due(self, partition: TopicPartition, now: float) -> bool:
        asked_at = self._asked_at.get(partition)
        return asked_at is None or now - asked_at >= REFRESH_S


def batch_times(data: memoryview) -> Iterator[int]:
    """Times that the headers of record batches give, in ns: of the first and the newest record of each.

    Batches are not unpacked, and the last one may be cut off behind its header. Markers of transactions and
    times that are none are left out.
    """
    at = 0
    while at + _OLD_HEADER.size <= len(data):
        _, size, magic, _, time_ms = _OLD_HEADER.unpack_from(data, at)
        if magic == 1:
            yield record_time(time_ms)
        elif magic == _FORMAT and at + _HEADER.size <= len(data):
            _, _, _, attributes, first_ms, newest_ms = _HEADER.unpack_from(data, at)
            if not attributes & _CONTROL:
                yield record_time(first_ms)
                yield record_time(newest_ms)
        if size <= 0:
            return
        at += _BEFORE_SIZE_ENDS + size


_BEFORE_SIZE_ENDS = 12  # base offset and size
_OLD_HEADER = struct.Struct(">qi4xbbq")
_HEADER = struct.Struct(">qi4xb4xh4xqq")
_FORMAT = 2
_CONTROL = 0x20


def _last_times(chunks: Sequence[Chunk]) -> NDArray[np.int64]:
    """Times of the last records; of those before them only as many as are needed."""
    times: list[NDArray[np.int64]] = []
    missing = LAST_RECORDS
    for chunk in reversed(chunks):
        records = chunk.records[-missing:] if missing < len(chunk.records) else chunk.records
        if isinstance(records, RecordBlock):
            times.append(records.timestamp)
        else:
            times.append(np.array([record.timestamp for record in records], np.int64))
        missing -= len(records)
        if missing <= 0:
            break
    return np.concatenate(times)


def _newest(times: NDArray[np.int64], now_ns: int) -> int:
    """The latest of some times that is not in the future; now if all are, `NO_TIME` without any."""
    times = times[times != NO_TIME]
    if not len(times):
        return int(NO_TIME)
    past = times[times <= now_ns]
    return int(past.max()) if len(past) else now_ns
