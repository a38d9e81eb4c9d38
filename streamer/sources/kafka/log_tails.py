"""The time of the newest record of each log, by which alerts found in a backlog are known to be late.

It is looked up at the end of the log, and not asked for as the greatest time of all records (`ListOffsets`,
KIP-734): producers choose their records' times, and one that lies ahead must not make everything late.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog
from kafka import KafkaConsumer, TopicPartition, errors
from numpy.typing import NDArray

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME, Chunk
from streamer.messages.time_units import NS_PER_SECOND
from streamer.sources.kafka.client_internals import fetch_ends, log_end, position_of
from streamer.sources.record_times import record_time

LAST_RECORDS = 100
"""How many records at the end of a log are looked at: enough that one with a wrong time is not alone."""

REFRESH_S = 5.0
"""How old the time of the newest record of a log may be that is not read to its end."""

_TAIL_BYTES = 65_536
_WITHIN_MS = 500  # nothing is read meanwhile; an answer takes some ms
_SLOW_S = 0.1
_PAUSE_PER_COST = 20  # a slow broker is asked less often: it costs 5 % of the time at most
_USABLE_S = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Tail:
    newest_ns: int
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
        self._not_before = 0.0

    def newest(
        self,
        partition: TopicPartition,
        chunks: Sequence[Chunk],
        owned: Callable[[], Collection[TopicPartition]],
    ) -> int:
        """Time of the newest record that a log had when these records of it were fetched, in ns.

        Parameters
        ----------
        partition, chunks
            The log, and its records as they were polled, in order; at least one.
        owned
            Gives all logs that are read: others that are behind are looked up together with this one.

        Returns
        -------
        int
            `NO_TIME` where it is unknown: the broker did not answer, or the records have no times.
        """
        now_ns = int(self._now() * NS_PER_SECOND)
        own = _newest(_last_times(chunks), now_ns)
        end = log_end(self._consumer, partition)
        if end is None or chunks[-1].records[-1].offset + 1 >= end:
            return own
        began = time.monotonic()
        if began >= self._not_before and self._is_due(partition, began):
            self._refresh({partition, *owned()}, began)
        tail = self._tails.get(partition)
        if tail is None or time.monotonic() - tail.at > _USABLE_S:
            return int(NO_TIME)
        return max(own, tail.newest_ns)

    def _refresh(self, partitions: Collection[TopicPartition], began: float) -> None:
        wanted = {}
        for tp in partitions:
            end, position = log_end(self._consumer, tp), position_of(self._consumer, tp)
            if end is not None and position is not None and position < end and self._is_due(tp, began):
                wanted[tp] = max(end - LAST_RECORDS, position)
        self._asked_at |= dict.fromkeys(wanted, began)
        try:
            ends = fetch_ends(self._consumer, wanted, _TAIL_BYTES, _WITHIN_MS)
        except errors.KafkaError as error:
            _log.debug("the ends of logs cannot be fetched", reason=str(error))
            return
        finally:
            took_s = time.monotonic() - began
            if took_s > _SLOW_S:
                self._not_before = began + _PAUSE_PER_COST * took_s
        now_ns = int(self._now() * NS_PER_SECOND)
        for tp, data in ends.items():
            newest = _newest(np.fromiter(batch_times(data), np.int64), now_ns)
            if newest != NO_TIME:
                self._tails[tp] = _Tail(newest, began)

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
