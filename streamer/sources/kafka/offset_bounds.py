"""First and end offsets of partitions, some of which may be going away.

kafka-python raises a bare KeyError where brokers say nothing of a partition, as while its topic is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kafka import TopicPartition, errors

Ask = Callable[..., Any]
"""A consumer's `end_offsets` or `beginning_offsets`."""


def offsets_of_all(
    ask: Ask, partitions: Iterable[TopicPartition], timeout_ms: int
) -> dict[TopicPartition, int]:
    """The offsets of all these partitions.

    Raises
    ------
    kafka.errors.KafkaError
        When the brokers do not answer, or not for each of them.
    """
    try:
        return dict(ask(list(partitions), timeout_ms=timeout_ms))
    except KeyError as error:
        raise errors.UnknownTopicOrPartitionError(f"no broker knows of {error}") from error


def offsets_of_known(
    ask: Ask, partitions: Iterable[TopicPartition], timeout_ms: int
) -> dict[TopicPartition, int]:
    """The offsets of those partitions whose topics the brokers know whole.

    Raises
    ------
    kafka.errors.KafkaError
        When the brokers do not answer.
    """
    wanted = list(partitions)
    while wanted:
        try:
            return dict(ask(wanted, timeout_ms=timeout_ms))
        except KeyError as error:
            (unknown,) = error.args
            wanted = [tp for tp in wanted if tp.topic != unknown.topic]
    return {}
