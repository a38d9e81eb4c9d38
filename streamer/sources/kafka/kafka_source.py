"""Kafka as a source: one member of a consumer group, reading from the offsets that the store gives."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition, errors

from streamer.errors import TapewatchError
from streamer.messages.records import Chunk, Partition, PausedPartition
from streamer.sources.kafka.checked_records import CheckedRecords, Detour, ReadLimits, reporting
from streamer.sources.kafka.client import TRANSIENT, connect, explain, require_fast_checksums
from streamer.sources.kafka.client_internals import (
    cluster_id,
    held_partitions,
    log_end,
    partition_count,
    position_of,
    use_parser,
)
from streamer.sources.kafka.consumer_options import options_of
from streamer.sources.kafka.deleted_topics import DeletedTopics
from streamer.sources.kafka.end_watch import EndWatch
from streamer.sources.kafka.fast.raw_records import RawPartitionRecords
from streamer.sources.kafka.fast.read_path import RECORD_BY_RECORD, fastest_read_path
from streamer.sources.kafka.group_member import GroupMember, Joins
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.known_cluster import KnownCluster
from streamer.sources.kafka.log_tails import LogTails
from streamer.sources.kafka.offset_bounds import offsets_of_known
from streamer.sources.kafka.prefetch import Prefetch
from streamer.sources.kafka.record_conversion import chunks_of
from streamer.sources.kafka.unreadable_partitions import UnreadablePartitions
from streamer.sources.kafka.withheld_partitions import ENOUGH_POLLS, WithheldPartitions
from streamer.sources.source import Assignments

MAX_POLL_RECORDS = 10_000
"""Default limit of records per `poll`: small enough that slow detectors do not delay rebalances, timers and a
stop for long, large enough that the cost of a poll itself does not matter."""

PREFETCH_FACTOR = 5
"""Prefetch factor, in polls: kafka-python does not refetch a partition while it still holds records of it,
and detection would wait for the next fetch."""

GROUP_POLL_EVERY_S = 0.5
"""How often the consumer is polled even while prefetched records wait, so that rebalances are handled."""

PREFETCH_WITHIN_S = 0.1
"""If the engine polls again within this time, prefetch."""

SLICE_S = 0.1
"""Longest single wait for records, so that new partitions are read soon."""

END_WITHIN_MS = 1_000
"""Timeout of a request for end offsets; nothing is read meanwhile."""

PROBE_AFTER_S = 5.0
"""Silence of the brokers after which one is probed."""

PROBE_AGAIN_AFTER_S = 1.0
"""The same during an outage."""

_log = structlog.get_logger(__name__)


class KafkaSource:
    """Topics of a Kafka cluster (see `streamer.sources.source.Source`).

    Autocommit is off, only committed records are read, topics are never created, and reading starts at the
    offsets that `Assignments.assigned` returns. `Assignments` is called only from `poll`, on its thread.

    Parameters
    ----------
    settings
        How Kafka is reached, and where reading starts.
    topics
        Names of topics, or patterns (``*``, ``?``, ``[abc]``).
    max_poll_records
        How many records one `poll` returns at most.
    environ
        Where secrets may come from; this process's environment by default.
    parser
        Reads record batches as columns. `open` compares it with kafka-python's own parser, which is used
        instead where they differ or the settings say so.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        *,
        max_poll_records: int = MAX_POLL_RECORDS,
        environ: Mapping[str, str] | None = None,
        parser: type = RawPartitionRecords,
    ) -> None:
        self._settings = settings
        self._globs = tuple(topics)
        self._max_poll_records = max_poll_records
        self._environ = os.environ if environ is None else environ
        self._parser = parser
        self.cluster = KnownCluster()
        """What is known of the cluster. Its topics need not exist at `open`: they did once, and are read
        when they are there again."""
        self.joins = Joins()
        """What is joined; set before `open`. Joined topics are read whether or not `topics` matches them."""
        self._read_path = RECORD_BY_RECORD
        self._prepared = False
        self._opened: tuple[KafkaConsumer, GroupMember] | None = None
        self._unreadable: UnreadablePartitions | None = None
        self._withheld: WithheldPartitions | None = None
        self._deleted: DeletedTopics | None = None
        self._tails: LogTails | None = None
        self._prefetch = Prefetch()
        self._end_watch: EndWatch | None = None
        self._read_to: Mapping[Partition, int] = {}
        self._polled_at = self._returned_at = 0.0
        self._polled_soon = False
        self._checked_at = 0.0
        self._outage = False

    def prepare(self) -> None:
        """Choose how record batches are read, and compile the kernels; `open` does it too."""
        if not self._prepared:
            self._prepared = True
            if self._settings.raw:
                self._read_path = fastest_read_path(self._parser)

    def open(self, assignments: Assignments) -> None:
        """Connect and subscribe; partitions come with `poll`.

        Raises
        ------
        TapewatchError
            When no broker can be reached, credentials are wrong, a topic does not exist, or the cluster is
            not the known one.
        """
        require_fast_checksums()
        self.prepare()
        options = options_of(self._settings, self._max_poll_records, self.joins.plan)
        consumer = connect(KafkaConsumer, self._settings, self._environ, self._read_path.network, **options)
        parser = self._parser if self._read_path.raw else CheckedRecords
        detours: dict[TopicPartition, Detour] = {}
        limits = ReadLimits(self._settings.max_unpacked_bytes, partial(log_end, consumer), detours)
        use_parser(consumer, reporting(parser, limits))
        member = GroupMember(consumer, self._settings, assignments, self.cluster, self.joins)
        try:
            member.subscribe(list(dict.fromkeys((*self._globs, *self.joins.plan.topics))))
        except errors.KafkaError as error:
            member.close()
            raise self._explained(error) from error
        except TapewatchError:
            member.close()
            raise
        self._opened = consumer, member
        enough = ENOUGH_POLLS * self._max_poll_records
        withheld = self._withheld = WithheldPartitions(consumer, member, self._prefetch, enough)
        self._unreadable = UnreadablePartitions(
            consumer, member, self._settings, detours, lambda: withheld.paused
        )
        self._deleted = DeletedTopics(consumer, self.cluster)
        self._tails = LogTails(consumer)
        self._end_watch = EndWatch(self._settings, self._environ)
        self._end_watch.start()
        self._checked_at = time.monotonic()

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """Records that have arrived; an outage of the broker only delays them.

        Raises
        ------
        TapewatchError
            When reading cannot go on: this member was fenced, permissions are missing, another cluster
            answers.
        """
        consumer, member = self._connection
        self.cluster.require(cluster_id(consumer), ", ".join(self._settings.servers))
        start = time.monotonic()
        self._polled_soon = start - self._returned_at < PREFETCH_WITHIN_S
        deadline = start + timeout_s
        while not self._prefetch:
            self._prefetch_records(member, min(max(0.0, deadline - time.monotonic()), SLICE_S))
            if time.monotonic() >= deadline:
                break
        if self._prefetch and time.monotonic() - self._polled_at > GROUP_POLL_EVERY_S:
            self._poll_group(member)
        chunks = self._prefetch.take(self._max_poll_records)
        if chunks:
            self._returned_at = time.monotonic()
        return chunks

    def at_end(self) -> frozenset[Partition]:
        """The partitions that are read to their end, by a request to the broker sent now."""
        consumer, member = self._connection
        if member.busy:
            return frozenset()
        asked_at = time.monotonic()
        try:
            read = [
                tp
                for tp, end in self._ends().items()
                if (position := consumer.position(tp, timeout_ms=END_WITHIN_MS)) is not None
                and position >= end
            ]
            if self._tails is not None:
                self._tails.at_end(read, asked_at)
            return frozenset(member.owned[tp] for tp in read) - self._prefetch.partitions
        except errors.LogTruncationError as error:
            member.place_again(error.divergent_offsets)
        except TRANSIENT as error:
            self._mark_outage(error)
        return frozenset()

    @property
    def raw(self) -> bool:
        """Whether record batches are read as columns, and not record by record; known from `open` on."""
        return self._read_path.raw

    @property
    def paused(self) -> Sequence[PausedPartition]:
        """The partitions that are not read on until somebody does something."""
        return () if self._unreadable is None else self._unreadable.paused

    def gone(self, logs: Collection[Partition]) -> frozenset[Partition]:
        """Those of these logs that do not exist any more, once that is sure; it never waits."""
        if self._opened is None or self._deleted is None or self._opened[1].busy:
            return frozenset()
        return self._deleted.among(logs)

    def leave(self, logs: Collection[Partition]) -> None:
        """Stop reading logs that have ended; one that is back is assigned like a new one."""
        _, member = self._connection
        member.leave(logs)

    @property
    def is_known(self) -> bool:
        """Whether the cluster that answers is the one that the logs of the store are of."""
        return self.cluster.confirmed

    @property
    def answers(self) -> bool:
        """False while the broker does not answer."""
        return not self._outage

    def ends(self) -> Mapping[Partition, int]:
        """One past the last offset of each partition, by the broker's last response; sends no request.

        Partitions without a response so far are left out. Call it between polls, as `read_to`.
        """
        if self._opened is None or self._opened[1].busy:
            return self.asked_ends()
        consumer, member = self._opened
        if self._end_watch is not None:
            self._end_watch.follow(member.owned)
        readable = consumer.assignment().intersection(member.readable)
        ends = dict(self.asked_ends())
        for tp in readable:
            end = consumer.highwater(tp)
            if end is not None:
                ends[member.owned[tp]] = max(end, ends.get(member.owned[tp], 0))
        return ends

    def asked_ends(self) -> Mapping[Partition, int]:
        """The same by what the broker was asked, which does not depend on reading; from any thread."""
        return {} if self._end_watch is None else self._end_watch.ends

    def read_to(self) -> Mapping[Partition, int]:
        """Up to where partitions are read whose last records were none: markers, or compacted away."""
        if self._opened is not None and not self._opened[1].busy:
            consumer, member = self._opened
            waiting = self._prefetch.partitions
            positions = {member.owned[tp]: position_of(consumer, tp) for tp in member.readable}
            self._read_to = {
                partition: position
                for partition, position in positions.items()
                if position is not None and partition not in waiting
            }
        return self._read_to

    def finished(self) -> frozenset[Partition]:
        """None: more records may always arrive."""
        return frozenset()

    def withhold(self, partitions: Collection[Partition]) -> None:
        """Return no records of these until the next call; what comes of them meanwhile is queued."""
        if self._withheld is not None:
            self._withheld.set(partitions)

    def partition_counts(self) -> Mapping[str, int]:
        """How many partitions each topic has that is read; sends no request. Call it between polls."""
        if self._opened is None:
            return {}
        consumer, member = self._opened
        return {topic: partition_count(consumer, topic) for topic in {tp.topic for tp in member.owned}}

    def exhausted(self) -> bool:
        """Never: more records may always arrive."""
        return False

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit offsets to Kafka for lag monitoring only; they are never read back."""
        consumer, member = self._connection
        offsets = {
            tp: OffsetAndMetadata(positions[partition], "", -1)
            for tp, partition in member.owned.items()
            if partition in positions
        }
        if offsets and not member.busy:
            try:
                consumer.commit_async(offsets, callback=_committed)
            except errors.KafkaError as error:
                raise self._explained(error) from error

    def close(self) -> None:
        """Close without committing anything, and without leaving the group."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None
            if self._end_watch is not None:
                self._end_watch.close()
            self._prefetch = Prefetch()
            self._withheld = None

    @property
    def _connection(self) -> tuple[KafkaConsumer, GroupMember]:
        if self._opened is None:
            raise RuntimeError("the source is not open")
        return self._opened

    def _prefetch_records(self, member: GroupMember, wait_s: float) -> None:
        """Queue the records that have arrived; while some are queued already, at most one more."""
        limit = (PREFETCH_FACTOR if self._polled_soon and self.raw else 1) * self._max_poll_records
        polled = self._poll_once(member, wait_s, 1 if self._prefetch else limit)
        self._polled_at = time.monotonic()
        if polled:
            self._mark_answer()
        self._queue(member, polled)

    def _queue(self, member: GroupMember, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Queue records, and behind them the ranges that are skipped because they cannot be read."""
        unreadable = self._unreadable
        if unreadable is None:
            raise RuntimeError("the source is not open")
        for tp, records in polled.items():
            chunks = list(chunks_of(member.owned[tp], unreadable.readable(tp, records)))
            if chunks and self._tails is not None:
                most_s = self._tails.most_behind_s(tp, chunks[0])
                newest_ns = self._tails.newest(tp, chunks, lambda: member.ends)
                chunks = [replace(each, newest_ns=newest_ns, most_behind_s=most_s) for each in chunks]
            self._prefetch.append(chunks)
        if not member.busy:
            if self._tails is not None:
                self._tails.polled(held_partitions(self._connection[0]))
            self._prefetch.append(unreadable.work(answers=self.answers))
            if self._withheld is not None:
                self._withheld.work()

    def _poll_group(self, member: GroupMember) -> None:
        """Handle rebalances while records wait."""
        self._prefetch_records(member, 0.0)
        self._prefetch.retain(member.owned.values())

    def _poll_once(
        self, member: GroupMember, wait_s: float, limit: int
    ) -> Mapping[TopicPartition, Sequence[Any]]:
        try:
            if not self._prefetch:  # the engine's positions are complete only once it has all records
                self._prefetch.drop(member.place_partitions())
            polled = member.poll(int(wait_s * 1000), limit)
        except errors.OffsetOutOfRangeError as error:
            member.place_again(error.args[0])
        except errors.LogTruncationError as error:
            member.place_again(error.divergent_offsets)
        except TRANSIENT as error:
            self._mark_outage(error)
            time.sleep(wait_s)
        except errors.KafkaError as error:
            raise self._explained(error) from error
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._mark_outage(error)  # too many files are open for a connection: that passes
            time.sleep(wait_s)
        else:
            if (
                not polled
                and not self._prefetch
                and time.monotonic() - self._checked_at
                > (PROBE_AGAIN_AFTER_S if self._outage else PROBE_AFTER_S)
            ):
                self._probe(member)
            return polled
        return {}

    def _probe(self, member: GroupMember) -> None:
        if member.busy:
            self._mark_outage(f"group '{self._settings.group}' is rebalancing")
        else:
            self.at_end()

    def _ends(self) -> Mapping[TopicPartition, int]:
        consumer, member = self._connection
        partitions = member.readable
        if not partitions:
            return {}
        try:
            ends = offsets_of_known(consumer.end_offsets, partitions, END_WITHIN_MS)
        except errors.KafkaError as error:
            self._mark_outage(error)
            return {}
        self._mark_answer()
        return ends

    def _mark_answer(self) -> None:
        self._checked_at = time.monotonic()
        if self._outage:
            self._outage = False
            _log.info("Kafka is back", servers=self._settings.servers)

    def _mark_outage(self, reason: object) -> None:
        self._checked_at = time.monotonic()
        if not self._outage:
            self._outage = True
            _log.warning("Kafka does not answer", servers=self._settings.servers, reason=str(reason))

    def _explained(self, error: Exception) -> TapewatchError:
        return explain(error, self._settings, self._environ)


def _committed(_offsets: Mapping[TopicPartition, OffsetAndMetadata], response: object) -> None:
    if isinstance(response, Exception):
        _log.debug("committing advisory offsets failed", reason=str(response))
