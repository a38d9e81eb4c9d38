"""Every use of undocumented parts of kafka-python outside `fast/`, in one place.

`pyproject.toml` pins the library's version because of them; `tests/sources` has a test for each.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.consumer import FetchRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.protocol.metadata import MetadataRequest

REFUSED = (
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.AuthorizationError,
)
"""Errors by which a broker rejects this client for good."""


MISSING = frozenset(
    error.errno
    for error in (
        errors.UnknownTopicOrPartitionError,
        errors.UnknownTopicIdError,
        errors.InconsistentTopicIdError,
    )
)
"""Error codes for a topic that does not exist, also while it is deleted and created again."""


UNREADABLE = frozenset(
    error.errno for error in (errors.CorruptRecordError, errors.InvalidRecordError, errors.UnknownError)
)
"""Error codes by which a broker says that it cannot read its own log at an offset."""


class Manager(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python has no types
    """The connections of a `Network`."""

    # The library forgets a refusal at once and would retry a wrong password until the timeout.
    refusal: Exception | None = None

    def __init__(self, *arguments: Any, **configs: Any) -> None:
        super().__init__(*arguments, **configs)
        self.missing_topics: set[str] = set()
        self.failed_reads: set[TopicPartition] = set()

    def send(self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None) -> Any:
        future = super().send(request, node_id=node_id, request_timeout_ms=request_timeout_ms)
        if isinstance(request, FetchRequest):
            future.add_callback(self._note_errors)
        return future

    def _note_errors(self, response: Any) -> None:
        for topic in response.responses:
            if any(partition.error_code in MISSING for partition in topic.partitions):
                self.missing_topics.add(topic.topic)
            for partition in topic.partitions:
                if partition.error_code in UNREADABLE:
                    self.failed_reads.add(TopicPartition(topic.topic, partition.partition_index))
                    # The library would raise its own error in `poll`, which does not name the partition.
                    partition.error_code = errors.RequestTimedOutError.errno

    def get_connection(self, node_id: int | str, **options: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        connection = super().get_connection(node_id, **options)
        if self.cluster.is_bootstrap(node_id):
            connection.init_future.add_errback(self._note_refusal)
        return connection

    def _note_refusal(self, error: Exception) -> None:
        if isinstance(error, REFUSED):
            self.refusal = error


class Network(KafkaNetClient):  # type: ignore[misc]
    """The network client of a consumer, producer or admin client, passed as its `kafka_client`.

    It gives up at once when a broker refuses this client, and its metadata requests never create topics.
    """

    manager: type[Manager] = Manager
    """The class that makes its connections."""

    def __init__(self, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=self.manager(net, **configs))
        # The library accepts this option but does not pass it on to its metadata requests.
        self.cluster.config["allow_auto_create_topics"] = False


MAX_FETCH_VERSION = 12
"""The newest fetch version of kafka-python, the last one with topic names."""

_METADATA_BACKOFF_MS = 5
"""Pause between two metadata requests while a caller waits for the answer."""


@contextmanager
def prompt_metadata(consumer: KafkaConsumer) -> Iterator[None]:
    """Send metadata requests without the usual 100 ms pause between two of them.

    The library pauses (`retry_backoff_ms`) after successful requests as well as after failures.
    """
    config = consumer._cluster.config
    usual_ms = config["retry_backoff_ms"]
    config["retry_backoff_ms"] = min(usual_ms, _METADATA_BACKOFF_MS)
    try:
        yield
    finally:
        config["retry_backoff_ms"] = usual_ms


def incarnation(consumer: KafkaConsumer, topic: str) -> str:
    """The topic's id from cached metadata; empty for an unknown topic, or a broker before 2.8 without ids."""
    topic_id = consumer._cluster.topic_id(topic)
    return "" if topic_id is None else str(topic_id)


def cluster_id(consumer: KafkaConsumer) -> str:
    """The cluster's id from cached metadata; empty before any, or where the broker gives none."""
    return consumer._cluster.cluster_id or ""


def partition_count(consumer: KafkaConsumer, topic: str) -> int:
    """How many partitions a topic has by cached metadata; sends no request."""
    return len(consumer._cluster.partitions_for_topic(topic) or ())


class TopicAnswer(NamedTuple):
    """What a broker says of a topic: an error code (0 for none), its id, and that of the cluster.

    Ids are empty where it gives none.
    """

    error_code: int
    incarnation: str
    cluster: str


_ANSWER_WITHIN_MS = 3_000
_NO_ID = uuid.UUID(int=0)


def ask_of_topics(consumer: KafkaConsumer, topics: Iterable[str]) -> Any:
    """Ask a broker whether topics exist, by their names, so that a missing permission is told from absence.

    Returns
    -------
    kafka.future.Future
        Its value will be a dict of `TopicAnswer` by topic. It is done within a few seconds, and fails where
        the broker does not answer. Nothing waits for it.
    """
    manager = consumer._client._manager
    request = MetadataRequest(
        topics=[MetadataRequest.MetadataRequestTopic(name=topic) for topic in sorted(topics)],
        allow_auto_topic_creation=False,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=False,
        min_version=4,  # before, asking for a topic may create it
    )

    async def ask() -> dict[str, TopicAnswer]:
        response = await manager.wait_for(manager.send(request), _ANSWER_WITHIN_MS)
        if not response.brokers:
            raise errors.MetadataEmptyBrokerList("the broker knows of no broker yet")
        cluster = response.cluster_id or ""
        return {
            topic.name: TopicAnswer(
                topic.error_code, "" if topic.topic_id in (None, _NO_ID) else str(topic.topic_id), cluster
            )
            for topic in response.topics
        }

    return manager.call_soon(ask)


def take_missing_topics(consumer: KafkaConsumer) -> set[str]:
    """Topics that fetches reported missing since the last call; one that is back may be a new incarnation.

    Fetches name topics (3.0.12 does not send topic ids), so nothing else tells two incarnations apart.
    """
    noted: set[str] = consumer._client._manager.missing_topics
    missing = set()
    while noted:  # the network thread may add to it meanwhile
        missing.add(noted.pop())
    return missing


def log_end(consumer: KafkaConsumer, partition: TopicPartition) -> int | None:
    """One past the last offset of an assigned partition, by the last fetch; None if unknown."""
    state = consumer._subscription.assignment.get(partition)
    return None if state is None else state.highwater


def position_of(consumer: KafkaConsumer, partition: TopicPartition) -> int | None:
    """The next offset to read of an assigned partition, None if unknown.

    Sends no request, and raises nothing; the consumer's own `position` may do both.
    """
    state = consumer._subscription.assignment.get(partition)
    position = None if state is None else state.position
    return None if position is None else int(position.offset)


def held_partitions(consumer: KafkaConsumer) -> set[TopicPartition]:
    """Partitions with fetched records that `poll` has not returned yet."""
    fetcher = consumer._fetcher
    held = {fetch.topic_partition for fetch in fetcher._completed_fetches.copy()}
    current = fetcher._next_partition_records
    if current:
        held.add(current.topic_partition)
    return held


def leader_of(consumer: KafkaConsumer, partition: TopicPartition) -> Any:
    """The node that leads a partition, by cached metadata.

    Raises
    ------
    kafka.errors.LeaderNotAvailableError
        When none is known; metadata is requested then.
    """
    leader = consumer._cluster.leader_for_partition(partition)
    if leader is None or leader < 0:
        consumer._cluster.request_update()
        raise errors.LeaderNotAvailableError(str(partition))
    return leader


def take_failed_reads(consumer: KafkaConsumer) -> set[TopicPartition]:
    """Partitions that a broker could not read at the offsets fetched since the last call."""
    noted: set[TopicPartition] = consumer._client._manager.failed_reads
    failed = set()
    while noted:  # the network thread may add to it meanwhile
        failed.add(noted.pop())
    return failed


_FETCH_WAIT_MS = 500  # as of every other fetch: a broker may read from remote storage


def fetch_at(
    consumer: KafkaConsumer, partition: TopicPartition, offset: int, max_bytes: int, within_ms: int
) -> memoryview:
    """Fetch from one partition at an offset, besides what the consumer fetches; its position stays.

    Returns
    -------
    memoryview
        Record batches; the last one may be cut off. Empty where the broker finds none, or cannot read them.

    Raises
    ------
    kafka.errors.KafkaError
        When the partition's leader does not answer in time, refuses, or returns no part for it.
    """
    manager = consumer._client._manager
    leader = leader_of(consumer, partition)
    request = _fetch_request(
        {partition: offset}, max_bytes, min(_FETCH_WAIT_MS, within_ms), consumer._fetcher._isolation_level
    )

    async def fetch() -> Any:
        return await manager.wait_for(manager.send(request, node_id=leader), within_ms)

    response = manager.run(fetch)
    if getattr(response, "error_code", 0):
        raise errors.for_code(response.error_code)
    parts = [part for answered in response.responses for part in answered.partitions]
    if not parts:  # so a broker answers a client that it throttles
        raise errors.RequestTimedOutError(f"the broker's response has no part for {partition}")
    (part,) = parts
    manager.failed_reads.discard(partition)
    failed = part.error_code == errors.RequestTimedOutError.errno
    if part.error_code and not failed:
        raise errors.for_code(part.error_code)(str(partition))
    return memoryview(b"" if failed or part.records is None else part.records)


def ask_for_ends(consumer: KafkaConsumer, offsets: Mapping[TopicPartition, int], max_bytes: int) -> Any:
    """Fetch the ends of several logs, from an offset of each on, besides what the consumer fetches.

    A broker answers the requests of a connection one after another, so this one may wait behind a fetch that
    waits for records.

    Parameters
    ----------
    consumer
        Connected.
    offsets
        Where to begin in each.
    max_bytes
        Of each; the first batch of a log may be cut off by it.

    Returns
    -------
    kafka.future.Future
        Its value will be a dict of record batches by partition, those of open and aborted transactions too;
        without the logs whose leader did not answer, or refused.
    """
    manager = consumer._client._manager
    by_leader: dict[Any, dict[TopicPartition, int]] = {}
    for partition, offset in offsets.items():
        leader = consumer._cluster.leader_for_partition(partition)
        if leader is not None and leader >= 0:
            by_leader.setdefault(leader, {})[partition] = offset

    async def fetch() -> dict[TopicPartition, memoryview]:
        sent = [
            manager.send(_fetch_request(wanted, max_bytes, 0, _UNCOMMITTED_TOO), node_id=leader)
            for leader, wanted in by_leader.items()
        ]
        ends: dict[TopicPartition, memoryview] = {}
        for future in sent:
            try:
                response = await manager.wait_for(future, _ENDS_WITHIN_MS)
            except errors.KafkaError:
                continue
            for topic in response.responses:
                for part in topic.partitions:
                    partition = TopicPartition(topic.topic, part.partition_index)
                    manager.failed_reads.discard(partition)
                    if not part.error_code and part.records is not None:
                        ends[partition] = memoryview(part.records)
        return ends

    return manager.call_soon(fetch)


def wait_for(consumer: KafkaConsumer, future: Any, within_ms: int) -> None:
    """Wait until a future is done, or the time is over."""
    manager = consumer._client._manager
    with suppress(errors.KafkaError):
        manager.run(manager.wait_for, future, within_ms)


_ENDS_WITHIN_MS = 10_000
_UNCOMMITTED_TOO = 0  # the isolation level by which all that a log has is read


def _fetch_request(
    offsets: Mapping[TopicPartition, int], max_bytes: int, max_wait_ms: int, isolation_level: int
) -> Any:
    topic = FetchRequest.FetchTopic
    by_topic: dict[str, list[Any]] = {}
    for partition, offset in offsets.items():
        wanted = topic.FetchPartition(
            partition=partition.partition,
            current_leader_epoch=-1,
            fetch_offset=offset,
            last_fetched_epoch=-1,
            log_start_offset=-1,
            partition_max_bytes=max_bytes,
        )
        by_topic.setdefault(partition.topic, []).append(wanted)
    return FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min(1, max_wait_ms),
        max_bytes=max_bytes * len(offsets),
        isolation_level=isolation_level,
        session_id=0,
        session_epoch=-1,
        topics=[topic(topic=name, partitions=parts) for name, parts in by_topic.items()],
        forgotten_topics_data=[],
        min_version=4,
        max_version=MAX_FETCH_VERSION,
    )


def committed_offsets(
    consumer: KafkaConsumer, partitions: Sequence[TopicPartition], within_ms: int
) -> dict[TopicPartition, int]:
    """The offsets that the consumer's group has committed, by one request; without those that have none.

    They are only advice, so a broker that refuses them is no error.

    Raises
    ------
    kafka.errors.KafkaError
        When the broker does not answer in time.
    """
    try:
        found = consumer._coordinator.fetch_committed_offsets(list(partitions), timeout_ms=within_ms)
    except errors.AuthorizationError:
        return {}
    return {tp: known.offset for tp, known in found.items() if known is not None and known.offset >= 0}


def assigned_counts(consumer: KafkaConsumer, within_ms: int) -> dict[str, int] | None:
    """How many partitions of each topic are assigned to members of the consumer's group, by the broker.

    A restarted static member gets its old assignment back and is not told when it leads its group (3.0.12
    does not implement KIP-814), so partitions created while it was away would be assigned to nobody.

    Returns
    -------
    dict, optional
        None while the group is rebalancing.

    Raises
    ------
    kafka.errors.KafkaError
        When the broker does not answer in time.
    """
    coordinator, manager = consumer._coordinator, consumer._client._manager
    if not coordinator.stable() or coordinator.need_rejoin() or coordinator.coordinator_id is None:
        return None

    async def describe_group() -> Any:
        request = DescribeGroupsRequest(groups=[coordinator.group_id])
        return await manager.wait_for(manager.send(request, node_id=coordinator.coordinator_id), within_ms)

    (group,) = manager.run(describe_group).groups
    if group.error_code:
        raise errors.for_code(group.error_code)(group.error_message)
    if group.group_state != "Stable":
        return None
    counts: dict[str, int] = {}
    assignments = [member.member_assignment for member in group.members if member.member_assignment]
    for assignment in assignments:
        for topic in ConsumerProtocolAssignment.decode(assignment).assigned_partitions:
            counts[topic.topic] = counts.get(topic.topic, 0) + len(topic.partitions)
    return counts


def protocol_of(consumer: KafkaConsumer) -> str:
    """The name of the assignor that the group works by; empty while this member is in no group."""
    return consumer._coordinator._generation.protocol or ""


def request_rejoin(consumer: KafkaConsumer) -> None:
    """Trigger a rebalance, so that new partitions are assigned."""
    consumer._coordinator.request_rejoin()


def resume(consumer: KafkaConsumer, partition: TopicPartition) -> None:
    """Read a paused partition again, from its position.

    Records fetched before the pause are dropped and fetched again: the library sets them aside, may never
    return them, and then fetches no more of that partition (3.0.12: `fetched_records` looks at them only
    when it has read nothing else before).
    """
    fetcher = consumer._fetcher
    fetcher._paused_completed_fetches.pop(partition, None)
    paused_records = fetcher._paused_partition_records.pop(partition, None)
    if paused_records is not None:
        paused_records.drain()
    consumer.resume(partition)


def use_parser(consumer: KafkaConsumer, parser: Callable[..., Any]) -> None:
    """Replace the fetcher's own parser of record batches (see `streamer.sources.kafka.checked_records`).

    Call it before the first `poll`.
    """
    consumer._fetcher.PartitionRecords = parser


def join(consumer: KafkaConsumer, within_ms: int) -> bool:
    """Rejoin the group where needed; call it before every `poll`.

    `poll` rejoins too, but when the group takes longer than its timeout it may miss the response for good and
    send no heartbeats (3.0.12: the leader's new assignment makes `need_rejoin` false meanwhile).
    """
    coordinator = consumer._coordinator
    if coordinator.rejoining and not coordinator.need_rejoin():
        coordinator.request_rejoin()
    joined: bool = coordinator.poll(timeout_ms=within_ms)
    return joined


def is_fenced(consumer: KafkaConsumer) -> bool:
    """Whether another process has joined as this static member; the library only logs that."""
    coordinator = consumer._coordinator
    stable = coordinator.stable() and not coordinator.rejoining and not coordinator.rejoin_needed
    return stable and not coordinator._heartbeat_enabled
