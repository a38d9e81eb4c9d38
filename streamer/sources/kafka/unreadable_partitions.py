"""Partitions whose next batch cannot be read: damaged offsets are skipped, or the partition pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition, errors

from streamer.messages.records import Chunk, DamagedRange, PausedPartition
from streamer.sources.kafka.checked_records import Detour, UnreadableBatch, split_unreadable
from streamer.sources.kafka.client_internals import (
    fetch_at,
    held_partitions,
    leader_of,
    log_end,
    position_of,
    resume,
    take_failed_reads,
)
from streamer.sources.kafka.damage_survey import Survey, SurveyedLog, survey
from streamer.sources.kafka.group_member import GroupMember
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.offset_bounds import offsets_of_all

STALLED_AFTER_S = 5.0
"""How long a partition may bring nothing, although its log goes on, before its log is surveyed."""

LOOK_EVERY_S = 1.0
"""Time between two looks for stalled partitions, and two attempts at a survey."""

SURVEY_AGAIN_AFTER_S = 15.0
"""Time between two surveys of a partition that is paused: it goes on once its batches can be read, and where
a survey finds them sound it is tried once each time. Also the
time between two surveys that must agree, where fetches that returned nothing are the only proof of damage."""

FETCH_WITHIN_MS = 2_000
"""Timeout of one request of a survey; nothing is read meanwhile."""

SURVEYS_WITHIN_S = 10.0
"""How long the surveys between two polls may take together."""

TOLD_AFTER_S = 60.0
"""How long surveys of a partition may fail or disagree before it counts as unreadable, and is told."""

_MOST_RETRIES = 3  # fetches of a batch that a survey finds sound and the parser does not

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Trouble:
    """A partition that is paused in the consumer; `at` is when it is surveyed, None for never."""

    batch: UnreadableBatch
    suspected: bool  # nothing was read at all; the broker may only be slow
    at: float | None = 0.0
    paused: PausedPartition | None = None
    unsettled_since: float | None = None  # surveys fail or disagree from then on
    next_offset: int | None = None  # by the first of two surveys that must agree
    found_at: float = 0.0


@dataclass(slots=True)
class _Stall:
    """A partition that could be read on from `position`, and brings nothing while the broker answers."""

    position: int
    idle_s: float = 0.0
    patience_s: float = STALLED_AFTER_S


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
    withheld
        Partitions that are paused for another reason, and bring nothing meanwhile.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        member: GroupMember,
        settings: KafkaSettings,
        detours: MutableMapping[TopicPartition, Detour],
        withheld: Callable[[], Collection[TopicPartition]] = tuple,
    ) -> None:
        self._detours = detours
        self._consumer = consumer
        self._member = member
        self._settings = settings
        self._withheld = withheld
        self._troubles: dict[TopicPartition, _Trouble] = {}
        self._stalls: dict[TopicPartition, _Stall] = {}
        self._retries: dict[TopicPartition, tuple[int, int]] = {}
        self._tried: dict[TopicPartition, PausedPartition] = {}  # read again by way of trial
        self._looked_at = self._survey_at = 0.0
        self._survey_wait_s = STALLED_AFTER_S

    @property
    def paused(self) -> Sequence[PausedPartition]:
        """The partitions that are not read on until somebody does something."""
        paused = [trouble.paused for trouble in self._troubles.values() if trouble.paused is not None]
        return [*paused, *self._tried.values()]

    def readable(self, partition: TopicPartition, polled: Sequence[Any]) -> Sequence[Any]:
        """The records before the first batch that cannot be read; from there on the partition pauses."""
        records, unreadable = split_unreadable(polled)
        if unreadable is not None:
            self._add(partition, unreadable)
        return records

    def work(self, *, answers: bool = True) -> Iterator[Chunk]:
        """Survey what is due; gives the ranges that are skipped. Call it between polls.

        Parameters
        ----------
        answers
            Whether the broker answers; while it does not, nothing proves anything.
        """
        self._forget_released()
        if not answers:
            self._stalls.clear()
            for trouble in self._troubles.values():
                trouble.unsettled_since = None
            return
        self._look_for_stalls()
        start = time.monotonic()
        if start < self._survey_at:
            return
        due = [(t.at, tp) for tp, t in self._troubles.items() if t.at is not None and t.at <= start]
        for _, partition in sorted(due):
            if time.monotonic() - start >= SURVEYS_WITHIN_S:
                return
            trouble = self._troubles[partition]
            trouble.at = time.monotonic() + LOOK_EVERY_S
            try:
                found = survey(self._log_of(partition, start + SURVEYS_WITHIN_S), trouble.batch.offset)
            except errors.OffsetOutOfRangeError:
                # The log begins behind it by now: the next poll raises this too, and it is placed again.
                self._go_on(partition, trouble.batch.offset, trouble.batch.offset)
            except errors.KafkaError as error:
                self._fail(partition, trouble, error)
                if isinstance(error, _TIMED_OUT):
                    self._survey_at = time.monotonic() + self._survey_wait_s
                    self._survey_wait_s = min(2 * self._survey_wait_s, TOLD_AFTER_S)
                    return
            else:
                self._survey_wait_s = STALLED_AFTER_S
                yield from self._settle(partition, trouble, found)

    def _log_of(self, partition: TopicPartition, deadline: float) -> SurveyedLog:
        size = self._settings.max_partition_fetch_bytes

        def within_ms() -> int:
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise errors.KafkaTimeoutError(f"a survey took longer than {SURVEYS_WITHIN_S:.0f} s")
            return min(FETCH_WITHIN_MS, left_ms)

        def fetch(offset: int) -> memoryview:
            return fetch_at(self._consumer, partition, offset, size, within_ms())

        leader_of(self._consumer, partition)  # else the request for the end would wait for a leader
        end = offsets_of_all(self._consumer.end_offsets, [partition], within_ms())[partition]
        return SurveyedLog(fetch, end, self._settings.max_unpacked_bytes)

    def _fail(self, partition: TopicPartition, trouble: _Trouble, error: errors.KafkaError) -> None:
        _log.debug("a survey failed", partition=str(partition), reason=str(error))
        self._unsettled(partition, trouble, f"its log cannot be looked into: {error}")

    def _unsettled(self, partition: TopicPartition, trouble: _Trouble, cause: str) -> None:
        """Tell of a partition that waits for long, and of which nothing is known for sure."""
        now = time.monotonic()
        if trouble.paused is not None:
            trouble.at = now + SURVEY_AGAIN_AFTER_S
        elif trouble.unsettled_since is None:
            trouble.unsettled_since = now
        elif now - trouble.unsettled_since >= TOLD_AFTER_S:
            self._pause(partition, trouble, "unreadable", cause, _UNREADABLE)

    def _agrees(self, partition: TopicPartition, trouble: _Trouble, found: Survey) -> bool:
        """Whether a finding is sure: seen in one fetch, or found again after a while."""
        now = time.monotonic()
        if found.seen or (
            trouble.next_offset == found.next_offset and now - trouble.found_at >= SURVEY_AGAIN_AFTER_S
        ):
            return True
        if trouble.next_offset != found.next_offset:
            trouble.next_offset, trouble.found_at = found.next_offset, now
        self._unsettled(partition, trouble, found.cause)
        trouble.at = trouble.found_at + SURVEY_AGAIN_AFTER_S
        return False

    def _settle(self, partition: TopicPartition, trouble: _Trouble, found: Survey) -> Iterator[Chunk]:
        batch, owned = trouble.batch, self._member.owned[partition]
        if found.next_offset is None:
            trouble.next_offset = None
            self._pause(partition, trouble, "unreadable", found.cause, _UNREADABLE)
        elif found.next_offset <= batch.offset or (trouble.suspected and not found.cause):
            self._retry(partition, trouble, found.fetch)
        elif self._agrees(partition, trouble, found):
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
        """Read on at the same offset: by now it can be read, or else it is tried again after a while."""
        offset = trouble.batch.offset
        known, count = self._retries.get(partition, (-1, 0))
        count = count + 1 if known == offset and not trouble.suspected else 0
        self._retries[partition] = offset, count
        if count > _MOST_RETRIES and trouble.paused is None:
            self._pause(partition, trouble, "unreadable", trouble.batch.cause, _UNREADABLE)
            return
        if trouble.paused is not None:
            _log.info(
                "a paused partition is tried again",
                topic=partition.topic,
                partition=partition.partition,
                offset=offset,
            )
            if count > _MOST_RETRIES:
                self._tried[partition] = trouble.paused
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
        self._stalls.pop(partition, None)
        tried = self._tried.pop(partition, None)
        if tried is not None and tried.offset == batch.offset:
            trouble.paused, trouble.at = tried, time.monotonic() + SURVEY_AGAIN_AFTER_S
        if batch.remedy is not None:
            remedy = f"{batch.remedy}, then restart tapewatch; nothing is skipped"
            self._pause(partition, trouble, "codec", batch.cause, remedy)

    def _forget_released(self) -> None:
        """Drop partitions that are no longer ours, or were placed again; those are judged anew."""
        paused, placed = self._consumer.paused(), self._member.placed
        for partition in list(self._troubles):
            if partition not in placed or partition not in paused:
                del self._troubles[partition]
        for partition, tried in list(self._tried.items()):
            position = position_of(self._consumer, partition)
            if partition not in placed or position is None or position > tried.offset:
                del self._tried[partition]
        for partition, detour in list(self._detours.items()):
            position = position_of(self._consumer, partition)
            if partition not in placed or position is None or position >= detour.offset:
                del self._detours[partition]

    def _look_for_stalls(self) -> None:
        """Suspect partitions that the broker cannot read, or does not return anything of."""
        for partition in take_failed_reads(self._consumer):
            self._suspect(partition)
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        # Time in which nobody polled does not count.
        idle_s, self._looked_at = min(now - self._looked_at, 2 * LOOK_EVERY_S), now
        held = held_partitions(self._consumer)
        withheld = self._withheld()
        for partition in self._member.readable:
            if partition in withheld:
                self._stalls.pop(partition, None)
            elif partition not in self._troubles and self._is_stalled(partition, idle_s, partition in held):
                self._suspect(partition)

    def _is_stalled(self, partition: TopicPartition, idle_s: float, held: bool) -> bool:
        position, end = position_of(self._consumer, partition), log_end(self._consumer, partition)
        if position is None or end is None or position >= end:
            self._stalls.pop(partition, None)
            return False
        stall = self._stalls.get(partition)
        if stall is None or stall.position != position:
            self._stalls[partition] = _Stall(position)
            return False
        if not held:  # else it is only our turn
            stall.idle_s += idle_s
        return stall.idle_s >= stall.patience_s

    def _suspect(self, partition: TopicPartition) -> None:
        position = position_of(self._consumer, partition)
        if position is None or partition in self._troubles or partition not in self._member.readable:
            return
        if partition in self._withheld():
            return  # its next fetch fails again
        stall = self._stalls.get(partition)
        patience_s = STALLED_AFTER_S if stall is None else stall.patience_s
        detour = self._detours.get(partition)
        wanted = position if detour is None else max(position, detour.offset)
        self._add(partition, UnreadableBatch(wanted, ""), suspected=True)
        # The next look is later, twice as late each time: the log may end in an open transaction.
        self._stalls[partition] = _Stall(position, patience_s=min(2 * patience_s, 12 * STALLED_AFTER_S))


_TIMED_OUT = (errors.KafkaTimeoutError, errors.RequestTimedOutError)
_UNREADABLE = (
    "look at the broker's log, and at this partition's replicas; reading goes on once the broker returns "
    "records here, or a sound batch is found behind"
)
_DAMAGED = (
    "repair the partition (another replica as its leader may hold it undamaged), or set "
    "source.kafka.damaged: skip and restart"
)
