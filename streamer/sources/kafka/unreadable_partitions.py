"""Partitions whose next batch cannot be read: damaged offsets are skipped, or the partition pauses."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition, errors

from streamer.messages.records import Chunk, DamagedRange, PausedPartition
from streamer.sources.kafka.checked_records import Detour, UnreadableBatch, split_unreadable
from streamer.sources.kafka.client_internals import fetch_at, resume, take_failed_reads
from streamer.sources.kafka.damage_survey import Survey, SurveyedLog, survey
from streamer.sources.kafka.group_member import GroupMember
from streamer.sources.kafka.kafka_settings import KafkaSettings

STALLED_AFTER_S = 5.0
"""How long a partition may bring nothing, although its log goes on, before its log is surveyed."""

LOOK_EVERY_S = 1.0
"""Time between two looks for stalled partitions, and two attempts at a survey."""

SURVEY_AGAIN_AFTER_S = 15.0
"""Time between two surveys of a partition that is paused: it goes on once its batches can be read."""

FETCH_WITHIN_MS = 5_000
"""Timeout of one fetch of a survey."""

_MOST_RETRIES = 3  # fetches of a batch that a survey finds sound and the parser does not

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Trouble:
    """A partition that is paused in the consumer; `at` is when it is surveyed, None for never."""

    batch: UnreadableBatch
    suspected: bool  # nothing was read at all; the broker may only be slow
    at: float | None = 0.0
    paused: PausedPartition | None = None


class UnreadablePartitions:
    """Follows the partitions of one consumer that cannot be read on.

    Parameters
    ----------
    consumer, member
        The consumer, and who knows which partitions it owns.
    settings
        Whether damage is skipped, and how large fetches and batches may be.
    detours
        Written here, read by the parser.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        member: GroupMember,
        settings: KafkaSettings,
        detours: MutableMapping[TopicPartition, Detour],
    ) -> None:
        self._detours = detours
        self._consumer = consumer
        self._member = member
        self._settings = settings
        self._troubles: dict[TopicPartition, _Trouble] = {}
        self._progress: dict[TopicPartition, tuple[int, float, float]] = {}
        self._retries: dict[TopicPartition, tuple[int, int]] = {}
        self._look_at = 0.0

    @property
    def paused(self) -> Sequence[PausedPartition]:
        """The partitions that are not read on until somebody does something."""
        return [trouble.paused for trouble in self._troubles.values() if trouble.paused is not None]

    def readable(self, partition: TopicPartition, polled: Sequence[Any]) -> Sequence[Any]:
        """The records before the first batch that cannot be read; from there on the partition pauses."""
        records, unreadable = split_unreadable(polled)
        if unreadable is not None:
            self._add(partition, unreadable)
        return records

    def work(self) -> Iterator[Chunk]:
        """Survey what is due; gives the ranges that are skipped. Call it between polls."""
        self._forget_released()
        self._look_for_stalls()
        now = time.monotonic()
        for partition, trouble in list(self._troubles.items()):
            if trouble.at is None or now < trouble.at:
                continue
            trouble.at = time.monotonic() + LOOK_EVERY_S
            try:
                found = survey(self._log_of(partition), trouble.batch.offset)
            except errors.KafkaError as error:
                _log.debug("a survey failed", partition=str(partition), reason=str(error))
            else:
                yield from self._settle(partition, trouble, found)

    def _log_of(self, partition: TopicPartition) -> SurveyedLog:
        end = self._consumer.end_offsets([partition], timeout_ms=FETCH_WITHIN_MS)[partition]
        size = self._settings.max_partition_fetch_bytes

        def fetch(offset: int) -> memoryview:
            return fetch_at(self._consumer, partition, offset, size, FETCH_WITHIN_MS)

        return SurveyedLog(fetch, end, self._settings.max_unpacked_bytes)

    def _settle(self, partition: TopicPartition, trouble: _Trouble, found: Survey) -> Iterator[Chunk]:
        batch, owned = trouble.batch, self._member.owned[partition]
        if found.next_offset is None:
            self._pause(partition, trouble, "unreadable", found.cause, _UNREADABLE)
        elif found.next_offset <= batch.offset or (trouble.suspected and not found.cause):
            self._retry(partition, trouble, found.fetch)
        else:
            cause = found.cause or batch.cause
            damaged = DamagedRange(batch.offset, found.next_offset - 1, cause)
            if self._settings.damaged == "stop":
                what = f"offsets {damaged.first} to {damaged.last} are damaged: {cause}"
                self._pause(partition, trouble, "damaged", what, _DAMAGED)
                return
            _log.error(
                "damaged offsets are skipped",
                topic=owned.topic,
                partition=owned.partition,
                first=damaged.first,
                last=damaged.last,
                cause=cause,
            )
            self._go_on(partition, found.next_offset, found.fetch)
            yield Chunk(owned, (), damaged=damaged)

    def _retry(self, partition: TopicPartition, trouble: _Trouble, fetch: int) -> None:
        """Read on at the same offset: by now it can be read."""
        offset = trouble.batch.offset
        known, count = self._retries.get(partition, (-1, 0))
        count = count + 1 if known == offset and not trouble.suspected else 0
        self._retries[partition] = offset, count
        if count > _MOST_RETRIES:
            self._pause(partition, trouble, "unreadable", trouble.batch.cause, _UNREADABLE)
            return
        if trouble.paused is not None:
            _log.info("a partition can be read again", topic=partition.topic, partition=partition.partition)
        self._go_on(partition, offset, fetch)

    def _go_on(self, partition: TopicPartition, offset: int, fetch: int) -> None:
        del self._troubles[partition]
        self._detours.pop(partition, None)
        if fetch < offset:
            self._detours[partition] = Detour(fetch, offset)
        self._consumer.seek(partition, fetch)
        resume(self._consumer, partition)

    def _pause(
        self, partition: TopicPartition, trouble: _Trouble, reason: str, cause: str, remedy: str
    ) -> None:
        trouble.at = None if reason == "codec" else time.monotonic() + SURVEY_AGAIN_AFTER_S
        owned = self._member.owned[partition]
        trouble.paused = PausedPartition(owned, trouble.batch.offset, reason, cause, remedy)

    def _add(self, partition: TopicPartition, batch: UnreadableBatch, *, suspected: bool = False) -> None:
        self._consumer.pause(partition)
        trouble = _Trouble(batch, suspected)
        self._troubles[partition] = trouble
        self._progress.pop(partition, None)
        if batch.remedy is not None:
            remedy = f"{batch.remedy}, then restart tapewatch; nothing is skipped"
            self._pause(partition, trouble, "codec", batch.cause, remedy)

    def _forget_released(self) -> None:
        """Drop partitions that are no longer ours, or were placed again; those are judged anew."""
        paused = self._consumer.paused()
        for partition in list(self._troubles):
            if partition not in self._member.owned or partition not in paused:
                del self._troubles[partition]

    def _look_for_stalls(self) -> None:
        """Suspect partitions that the broker cannot read, or does not return anything of."""
        for partition in take_failed_reads(self._consumer):
            self._suspect(partition)
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        for partition in self._member.readable:
            if partition not in self._troubles and self._stalls(partition, now):
                self._suspect(partition)

    def _stalls(self, partition: TopicPartition, now: float) -> bool:
        position = self._consumer.position(partition, timeout_ms=FETCH_WITHIN_MS)
        end = self._consumer.highwater(partition)
        if position is None or end is None or position >= end:
            self._progress.pop(partition, None)
            return False
        known, since, patience = self._progress.get(partition, (-1, now, STALLED_AFTER_S))
        if known != position:
            self._progress[partition] = position, now, STALLED_AFTER_S
            return False
        return now - since >= patience

    def _suspect(self, partition: TopicPartition) -> None:
        if partition in self._troubles or partition not in self._member.readable:
            return
        position = self._consumer.position(partition, timeout_ms=FETCH_WITHIN_MS)
        if position is None:
            return
        patience = self._progress.get(partition, (0, 0.0, STALLED_AFTER_S))[2]
        self._add(partition, UnreadableBatch(position, ""), suspected=True)
        # The next look is later, twice as late each time: the log may end in an open transaction.
        self._progress[partition] = position, time.monotonic(), min(2 * patience, 12 * STALLED_AFTER_S)


_UNREADABLE = (
    "look at the broker's log, and at this partition's replicas; reading goes on once the broker returns "
    "records here, or a sound batch is found behind"
)
_DAMAGED = (
    "repair the partition (another replica as its leader may hold it undamaged), or set "
    "source.kafka.damaged: skip and restart"
)
