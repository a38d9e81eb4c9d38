"""All that is needed of kafka-python beyond what it documents, in one place.

`pyproject.toml` bounds the library's version for what is here; `tests/sources` has a test for each of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.consumer import FetchRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

REFUSED = (
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.AuthorizationError,
)
"""Errors by which a broker says at once that it will not have this client."""


MISSING = frozenset(
    error.errno
    for error in (
        errors.UnknownTopicOrPartitionError,
        errors.UnknownTopicIdError,
        errors.InconsistentTopicIdError,
    )
)
"""Codes by which a broker says that there is no such topic, as it does between two of one name."""


class Manager(KafkaConnectionManager):  # type: ignore[misc]  # kafka-python has no types
    """The connections of a `Network`."""

    # The library forgets a refusal at once, and would try a wrong password until the time is up.
    refusal: Exception | None = None

    def __init__(self, *arguments: Any, **configs: Any) -> None:
        super().__init__(*arguments, **configs)
        self.missed: set[str] = set()

    def send(self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None) -> Any:
        answer = super().send(request, node_id=node_id, request_timeout_ms=request_timeout_ms)
        if isinstance(request, FetchRequest):
            answer.add_callback(self._look_for_missing)
        return answer

    def _look_for_missing(self, response: Any) -> None:
        for topic in response.responses:
            if any(partition.error_code in MISSING for partition in topic.partitions):
                self.missed.add(topic.topic)

    def get_connection(self, node_id: int | str, **options: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        connection = super().get_connection(node_id, **options)
        if self.cluster.is_bootstrap(node_id):
            connection.init_future.add_errback(self._note)
        return connection

    def _note(self, error: Exception) -> None:
        if isinstance(error, REFUSED):
            self.refusal = error


class Network(KafkaNetClient):  # type: ignore[misc]
    """What a consumer, producer or admin client talks through; given to it as its `kafka_client`.

    It gives up at once when a broker refuses this client, and never has topics created by asking for them.
    """

    manager: type[Manager] = Manager
    """What makes its connections."""

    def __init__(self, **configs: Any) -> None:
        net = NetworkSelector(**configs)
        super().__init__(net=net, manager=self.manager(net, **configs))
        # The library takes this option, but does not hand it on to what asks for topics' metadata.
        self.cluster.config["allow_auto_create_topics"] = False


_ASK_AGAIN_MS = 5
"""Least time between two questions for topics where somebody waits for the answer."""


@contextmanager
def asked_at_once(consumer: KafkaConsumer) -> Iterator[None]:
    """Within it a question for topics does not wait until the last one is 100 ms ago.

    The library holds to that pause (`retry_backoff_ms`) after answers as well as after failures.
    """
    config = consumer._cluster.config
    usual = config["retry_backoff_ms"]
    config["retry_backoff_ms"] = min(usual, _ASK_AGAIN_MS)
    try:
        yield
    finally:
        config["retry_backoff_ms"] = usual


def incarnation(consumer: KafkaConsumer, topic: str) -> str:
    """The topic's id as far as it is known; empty for a broker before 2.8, which has none, or no topic."""
    found = consumer._cluster.topic_id(topic)
    return "" if found is None else str(found)


def partition_count(consumer: KafkaConsumer, topic: str) -> int:
    """How many partitions a topic has as far as it is known, without asking a broker."""
    return len(consumer._cluster.partitions_for_topic(topic) or ())


def take_missed(consumer: KafkaConsumer) -> set[str]:
    """Topics that a fetch did not find since this was asked last; one found again may be another.

    Fetches go by name (3.0.12 does not use topic ids for them), so nothing else tells them apart.
    """
    noted: set[str] = consumer._client._manager.missed
    missed = set()
    while noted:  # the network thread may add to it meanwhile
        missed.add(noted.pop())
    return missed


def handed_out(consumer: KafkaConsumer, within_ms: int) -> dict[str, int] | None:
    """How many partitions of each topic the members of the consumer's group have, by the broker's account.

    A static member that comes back gets what it had, and is not told when it leads its group (3.0.12 takes
    no part in KIP-814). What was created while it was away would then be handed out to nobody.

    Returns
    -------
    dict, optional
        None while the group has not settled.

    Raises
    ------
    kafka.errors.KafkaError
        When the broker cannot be asked within the time.
    """
    coordinator, manager = consumer._coordinator, consumer._client._manager
    if not coordinator.stable() or coordinator.need_rejoin() or coordinator.coordinator_id is None:
        return None

    async def ask() -> Any:
        request = DescribeGroupsRequest(groups=[coordinator.group_id])
        return await manager.wait_for(manager.send(request, node_id=coordinator.coordinator_id), within_ms)

    (group,) = manager.run(ask).groups
    if group.error_code:
        raise errors.for_code(group.error_code)(group.error_message)
    if group.group_state != "Stable":
        return None
    found: dict[str, int] = {}
    assignments = [member.member_assignment for member in group.members if member.member_assignment]
    for assignment in assignments:
        for topic in ConsumerProtocolAssignment.decode(assignment).assigned_partitions:
            found[topic.topic] = found.get(topic.topic, 0) + len(topic.partitions)
    return found


def ask_to_rejoin(consumer: KafkaConsumer) -> None:
    """Have the group look again at what there is to hand out."""
    consumer._coordinator.request_rejoin()


def resume(consumer: KafkaConsumer, partition: TopicPartition) -> None:
    """Read a paused partition again, from its position.

    What was fetched for it before the pause is fetched anew: the library sets it aside, may not come back to
    it, and fetches no more of that partition then (3.0.12: `fetched_records` looks at what it set aside only
    where nothing else was read before).
    """
    fetcher = consumer._fetcher
    fetcher._paused_completed_fetches.pop(partition, None)
    aside = fetcher._paused_partition_records.pop(partition, None)
    if aside is not None:
        aside.drain()
    consumer.resume(partition)


def parse_with(consumer: KafkaConsumer, parser: type) -> None:
    """Have what is fetched parsed by another class than the fetcher's own (see `kafka_raw`).

    To be called before the first `poll`.
    """
    consumer._fetcher.PartitionRecords = parser


def join(consumer: KafkaConsumer, within_ms: int) -> bool:
    """Join the group again where that is called for; to be called before every `poll`.

    `poll` does this too, but where the group takes longer than its time-out, it may never notice the answer,
    send no heartbeats, and stay so (3.0.12: the leader's new assignment makes `need_rejoin` false meanwhile).
    """
    coordinator = consumer._coordinator
    if coordinator.rejoining and not coordinator.need_rejoin():
        coordinator.request_rejoin()
    joined: bool = coordinator.poll(timeout_ms=within_ms)
    return joined


def is_fenced(consumer: KafkaConsumer) -> bool:
    """Whether another process has taken this static member's place; the library only logs that."""
    coordinator = consumer._coordinator
    settled = coordinator.stable() and not coordinator.rejoining and not coordinator.rejoin_needed
    return settled and not coordinator._heartbeat_enabled
