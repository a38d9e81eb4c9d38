"""Where a new member of a joined log begins, by the times that the others have come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from kafka import KafkaConsumer, TopicPartition, errors
from kafka.record import MemoryRecords

from streamer.messages.records import Extent, Partition
from streamer.sources.kafka.client_internals import fetch_at

_WITHIN_MS = 5_000  # for each request; a log is taken over meanwhile
_BYTES = 1_048_576
_NO_TIME_MS = -1

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogAlignment:
    """Finds the first record of each new member at or after the least time of the others.

    The time of a known member is that of the record that it goes on with; at its end that of the last one.

    Parameters
    ----------
    consumer
        Connected; its positions stay.
    extents
        What the members of the log hold.
    """

    consumer: KafkaConsumer
    extents: Sequence[Extent]

    def __call__(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """Where those members begin that are not among these positions.

        Raises
        ------
        kafka.errors.KafkaError
            When the broker does not answer.
        """
        new = [extent for extent in self.extents if extent.partition not in positions]
        times = [
            time_ms
            for extent in self.extents
            if extent.partition in positions
            and (time_ms := self._time_ms(extent, positions[extent.partition])) != _NO_TIME_MS
        ]
        if not new or not times:
            return {extent.partition: extent.first for extent in new}
        wanted = {_place_of(extent.partition): min(times) for extent in new}
        found = self.consumer.offsets_for_times(wanted, timeout_ms=_WITHIN_MS)
        return {
            extent.partition: extent.end if at is None else at.offset
            for extent in new
            for at in (found[_place_of(extent.partition)],)
        }

    def _time_ms(self, extent: Extent, position: int) -> int:
        """The time that a member has come to; `_NO_TIME_MS` where it never had a record, or it is damaged."""
        at = max(min(position, extent.end - 1), extent.first)
        if extent.first >= extent.end:
            return _NO_TIME_MS
        data = fetch_at(self.consumer, _place_of(extent.partition), at, _BYTES, _WITHIN_MS)
        before = _NO_TIME_MS
        try:
            for offset, time_ms in _times(data):
                if offset >= at:
                    return time_ms
                before = time_ms
        except (errors.KafkaError, ValueError, AssertionError) as error:
            _log.warning("a record's time is not known", topic=extent.partition.topic, reason=str(error))
        return before


def _times(data: memoryview) -> Iterator[tuple[int, int]]:
    """Offsets and times (ms) of the records of some batches; markers of transactions are none."""
    batches = MemoryRecords(bytes(data))
    while (batch := batches.next_batch()) is not None:
        if not getattr(batch, "is_control_batch", False):
            for record in batch:
                yield record.offset, record.timestamp


def _place_of(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.partition)
