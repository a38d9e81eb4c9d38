"""Kafka as a source: one member of a consumer group that never decides by itself where to read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition, errors

from streamer.errors import TapewatchError
from streamer.messages.records import Chunk, Partition
from streamer.sources.kafka.client import TRANSIENT, connect, explain, require_fast_checksums
from streamer.sources.kafka.client_internals import parse_with
from streamer.sources.kafka.consumer_options import options_of
from streamer.sources.kafka.fast.raw_records import RawPartitionRecords
from streamer.sources.kafka.fast.read_path import ONE_BY_ONE, reading_with
from streamer.sources.kafka.group_member import Member
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.prefetch import Prefetch
from streamer.sources.kafka.record_conversion import chunks_of
from streamer.sources.source import Assignments

MAX_POLL_RECORDS = 10_000
"""How many records one `poll` returns at most, where nothing else is said: few enough that rebalances, timers
and a stop are soon seen to with slow detectors too, many enough that a poll's own cost is not felt."""

AHEAD = 5
"""How many times as many are taken from the consumer at once, and given on poll by poll: of a partition it
fetches no more as long as it has any of its records, and detection would wait for the next ones."""

ATTEND_EVERY_S = 0.5
"""How often the consumer is asked all the same while records wait, so that rebalances are seen to."""

QUICK_S = 0.1
"""So soon detection has to come back for more, that more than the records of one poll are taken at once."""

SLICE_S = 0.1
"""Longest single wait for records, so that new partitions are taken over soon."""

END_WITHIN_MS = 1_000
"""How long the question whether a partition is read to its end may take; nothing is read meanwhile."""

PROBE_AFTER_S = 5.0
"""After how long without a word from a broker it is asked whether it is there."""

PROBE_AGAIN_AFTER_S = 1.0
"""The same where it was not there before."""

_log = structlog.get_logger(__name__)


class KafkaSource:
    """Topics of a Kafka cluster (see `streamer.sources.source.Source`).

    Autocommit is off, only committed records are read, topics are never created, and offsets are those that
    `Assignments.assigned` returns. `Assignments` is always asked on the thread that calls `poll`, and from
    within it.

    Parameters
    ----------
    settings
        How Kafka is reached, and where reading starts.
    topics
        Names of topics, or patterns (``*``, ``?``, ``[abc]``).
    max_poll_records
        How many records one `poll` returns at most.
    environ
        Where secrets may come from; this process's environment where absent.
    parser
        Reads record batches as columns. Compared with kafka-python's own at `open`, which takes its place
        where they differ, or where the settings do not want it.
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
        self._reading = ONE_BY_ONE
        self._prepared = False
        self._opened: tuple[KafkaConsumer, Member] | None = None
        self._ahead = Prefetch()
        self._taken_at = self._given_at = 0.0
        self._quick = False
        self._damaged: TapewatchError | None = None
        self._heard_at = 0.0
        self._outage = False

    def prepare(self) -> None:
        """Find out how record batches are to be read, and compile what reads them; `open` does it too."""
        if not self._prepared:
            self._prepared = True
            if self._settings.raw:
                self._reading = reading_with(self._parser)

    def open(self, assignments: Assignments) -> None:
        """Connect and subscribe; partitions come with `poll`.

        Raises
        ------
        TapewatchError
            When no broker can be reached, credentials are wrong, or a topic does not exist.
        """
        require_fast_checksums()
        self.prepare()
        options = options_of(self._settings, self._max_poll_records)
        consumer = connect(KafkaConsumer, self._settings, self._environ, self._reading.network, **options)
        if self._reading.raw:
            parse_with(consumer, self._parser)
        member = Member(consumer, self._settings, assignments)
        try:
            member.subscribe(self._globs)
        except errors.KafkaError as error:
            member.close()
            raise self._explained(error) from error
        except TapewatchError:
            member.close()
            raise
        self._opened = consumer, member
        self._heard_at = time.monotonic()

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """Records that have arrived; an outage of the broker only makes them late.

        Raises
        ------
        TapewatchError
            When reading can't go on: another process took this one's place, permissions, damaged records.
        """
        _, member = self._connection
        began = time.monotonic()
        self._quick = began - self._given_at < QUICK_S
        until = began + timeout_s
        while not self._ahead:
            if self._damaged is not None:
                raise self._damaged
            self._take(member, min(max(0.0, until - time.monotonic()), SLICE_S))
            if time.monotonic() >= until:
                break
        if self._ahead and time.monotonic() - self._taken_at > ATTEND_EVERY_S:
            self._attend(member)
        given = self._ahead.take(self._max_poll_records)
        if given:
            self._given_at = time.monotonic()
        return given

    def at_end(self) -> frozenset[Partition]:
        """The partitions that a question to the broker, asked now, shows to be read to their end."""
        consumer, member = self._connection
        if member.busy:
            return frozenset()
        try:
            read = frozenset(
                member.owned[one]
                for one, end in self._ends().items()
                if (position := consumer.position(one, timeout_ms=END_WITHIN_MS)) is not None
                and position >= end
            )
            return read - self._ahead.partitions
        except errors.LogTruncationError as error:
            member.ask_again(error.divergent_offsets)
        except TRANSIENT as error:
            self._unheard(error)
        return frozenset()

    @property
    def raw(self) -> bool:
        """Whether record batches are read as columns, and not record by record; known from `open` on."""
        return self._reading.raw

    @property
    def answers(self) -> bool:
        """False while the broker does not answer."""
        return not self._outage

    def ends(self) -> Mapping[Partition, int]:
        """One past the last offset of each partition, as the broker's last answer had it; asks nobody.

        Partitions of which no answer has come yet are not in it.
        """
        if self._opened is None or self._opened[1].busy:
            return {}
        consumer, member = self._opened
        readable = consumer.assignment().intersection(member.readable)
        known = {member.owned[one]: consumer.highwater(one) for one in readable}
        return {partition: end for partition, end in known.items() if end is not None}

    def exhausted(self) -> bool:
        """Never: there may always come more."""
        return False

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell Kafka how far things are, for its lag tools; nothing here ever reads it back."""
        consumer, member = self._connection
        offsets = {
            one: OffsetAndMetadata(positions[partition], "", -1)
            for one, partition in member.owned.items()
            if partition in positions
        }
        if offsets and not member.busy:
            try:
                consumer.commit_async(offsets, callback=_committed)
            except errors.KafkaError as error:
                raise self._explained(error) from error

    def close(self) -> None:
        """Leave, without committing anything, and without the group noticing."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None
            self._ahead = Prefetch()

    @property
    def _connection(self) -> tuple[KafkaConsumer, Member]:
        if self._opened is None:
            raise RuntimeError("the source is not open")
        return self._opened

    def _take(self, member: Member, wait_s: float) -> None:
        """Take what has arrived; nearly nothing as long as records wait."""
        at_once = (AHEAD if self._quick and self.raw else 1) * self._max_poll_records
        found = self._poll_once(member, wait_s, 1 if self._ahead else at_once)
        self._taken_at = time.monotonic()
        if found:
            self._heard()
            for one, got in found.items():
                self._ahead.add(chunks_of(member.owned[one], got))

    def _attend(self, member: Member) -> None:
        """See to the group while records wait; what is damaged comes up once all before it is given on."""
        if self._damaged is None:
            try:
                self._take(member, 0.0)
            except TapewatchError as error:
                if not isinstance(error.__cause__, errors.CorruptRecordError):
                    raise
                self._damaged = error
        self._ahead.keep(member.owned.values())

    def _poll_once(self, member: Member, wait_s: float, most: int) -> Mapping[TopicPartition, Sequence[Any]]:
        try:
            if not self._ahead:  # where to read on is asked only once all that was read is given on
                member.settle()
            found = member.poll(int(wait_s * 1000), most)
        except errors.OffsetOutOfRangeError as error:
            member.ask_again(error.args[0])
        except errors.LogTruncationError as error:
            member.ask_again(error.divergent_offsets)
        except TRANSIENT as error:
            self._unheard(error)
            time.sleep(wait_s)
        except errors.KafkaError as error:
            raise self._explained(error) from error
        else:
            if (
                not found
                and not self._ahead
                and time.monotonic() - self._heard_at
                > (PROBE_AGAIN_AFTER_S if self._outage else PROBE_AFTER_S)
            ):
                self._probe(member)
            return found
        return {}

    def _probe(self, member: Member) -> None:
        if member.busy:
            self._unheard(f"group '{self._settings.group}' is not settled")
        else:
            self._ends()

    def _ends(self) -> Mapping[TopicPartition, int]:
        consumer, member = self._connection
        asked = member.readable
        if not asked:
            return {}
        try:
            ends: Mapping[TopicPartition, int] = consumer.end_offsets(asked, timeout_ms=END_WITHIN_MS)
        except errors.KafkaError as error:
            self._unheard(error)
            return {}
        self._heard()
        return ends

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        if self._outage:
            self._outage = False
            _log.info("Kafka is back", servers=self._settings.servers)

    def _unheard(self, reason: object) -> None:
        self._heard_at = time.monotonic()
        if not self._outage:
            self._outage = True
            _log.warning("Kafka does not answer", servers=self._settings.servers, reason=str(reason))

    def _explained(self, error: Exception) -> TapewatchError:
        return explain(error, self._settings, self._environ)


def _committed(_offsets: Mapping[TopicPartition, OffsetAndMetadata], response: object) -> None:
    if isinstance(response, Exception):
        _log.debug("Kafka did not take the advisory offsets", reason=str(response))
