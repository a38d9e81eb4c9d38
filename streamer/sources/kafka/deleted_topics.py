"""Proof that logs no longer exist: the broker says so, in every answer over a while."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Any

from kafka import KafkaConsumer

from streamer.messages.records import Partition
from streamer.sources.kafka.client_internals import (
    MISSING,
    TopicAnswer,
    ask_of_topics,
    cluster_id,
    incarnation,
    partition_count,
)
from streamer.sources.kafka.known_cluster import KnownCluster

GONE_AFTER_S = 30.0
"""For how long every answer must say so. A broker that has just started may not know all topics yet, and
metadata may hiccup; a topic that is deleted stays so."""

ASK_EVERY_S = 5.0
"""Time between two requests; there are none while cached metadata has all topics."""


class DeletedTopics:
    """Follows the logs that seem to be gone, and says when that is sure.

    It is sure where each answer over `GONE_AFTER_S` said that the topic does not exist, or that the one of
    its name has another id. No answer, a refusal or any other error proves nothing, and the while begins
    anew; so it does where the topic is there with fewer partitions, or where another cluster answers than the
    one that the logs are of.

    Parameters
    ----------
    consumer
        Connected; its cached metadata is where a first suspicion comes from.
    cluster
        What is known of the cluster that the logs are of.
    """

    def __init__(self, consumer: KafkaConsumer, cluster: KnownCluster) -> None:
        self._consumer = consumer
        self._cluster = cluster
        self._gone_since: dict[Partition, float] = {}
        self._asked: Any = None
        self._asked_at = 0.0

    def among(self, logs: Collection[Partition]) -> frozenset[Partition]:
        """Those of these logs that are gone for sure. Call it between polls; it never waits."""
        now = time.monotonic()
        if not self._cluster.confirmed:
            self._cluster.meet(cluster_id(self._consumer), has_topics=self._has_any(self._cluster.topics))
        suspected = [log for log in logs if self._is_suspected(log)]
        for log in self._gone_since.keys() - set(suspected):
            del self._gone_since[log]
        gone: frozenset[Partition] = frozenset()
        if self._asked is not None and self._asked.is_done:
            others_there = self._has_any({log.topic for log in logs} - {log.topic for log in suspected})
            gone = self._judged(suspected, now, others_there=others_there)
            self._asked = None
        if suspected and self._asked is None and now - self._asked_at >= ASK_EVERY_S:
            self._asked_at = now
            self._asked = ask_of_topics(self._consumer, {log.topic for log in suspected})
        return gone

    def _is_suspected(self, log: Partition) -> bool:
        current = incarnation(self._consumer, log.topic)
        return partition_count(self._consumer, log.topic) == 0 or bool(
            current and log.incarnation and current != log.incarnation
        )

    def _has_any(self, topics: Iterable[str]) -> bool:
        return any(partition_count(self._consumer, topic) for topic in topics)

    def _judged(
        self, suspected: Iterable[Partition], now: float, *, others_there: bool
    ) -> frozenset[Partition]:
        """What an answer says of these logs; those of which every answer for a while said the same."""
        answers: dict[str, TopicAnswer] = {} if self._asked.exception else self._asked.value
        gone = set()
        for log in suspected:
            answer = answers.get(log.topic)
            proves = answer is not None and self._cluster.proves(answer.cluster, others_there=others_there)
            if answer is None or not proves or not _says_gone(answer, log):
                self._gone_since.pop(log, None)
            elif now - self._gone_since.setdefault(log, now) >= GONE_AFTER_S:
                gone.add(log)
        return frozenset(gone)


def _says_gone(answer: TopicAnswer, log: Partition) -> bool:
    if answer.error_code:
        return answer.error_code in MISSING
    return bool(answer.incarnation and log.incarnation and answer.incarnation != log.incarnation)
