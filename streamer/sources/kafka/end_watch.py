"""Asks the broker for the ends of logs, on a connection and a thread of its own.

So what is said of how far behind reading is does not depend on reading: a fetch that never returns, or a step
that hangs, does not hide what has come in meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

import structlog
from kafka import KafkaConsumer, TopicPartition, errors

from streamer.errors import TapewatchError
from streamer.messages.records import Partition
from streamer.sources.kafka.client import connect
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.offset_bounds import offsets_of_known

ASK_EVERY_S = 5.0
"""Time between two questions."""

ANSWER_WITHIN_MS = 3_000
"""Longest wait for an answer about all logs, or those of one topic."""

_ROUND_S = 15.0  # for the topics one by one, where one of them has no leader

_log = structlog.get_logger(__name__)


class EndWatch:
    """Knows one past the last committed offset of each log, as the broker said within the last seconds.

    Parameters
    ----------
    settings, environ
        How Kafka is reached; where secrets may come from.
    """

    def __init__(self, settings: KafkaSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._logs: Mapping[TopicPartition, Partition] = {}
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ends", daemon=True)
        self.ends: Mapping[Partition, int] = {}
        """The last answers; replaced as a whole, and kept while the broker does not answer."""

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def follow(self, logs: Mapping[TopicPartition, Partition]) -> None:
        """Ask for these logs from now on."""
        if self._logs != logs:
            self._logs = dict(logs)

    def close(self) -> None:
        """Ask no more; a question on its way is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        consumer: KafkaConsumer | None = None
        while not self._stopping.wait(ASK_EVERY_S):
            logs = self._logs
            if not logs:
                continue
            try:
                if consumer is None:
                    consumer = self._connected()
                ends = _ends(consumer, logs)
            except (TapewatchError, errors.KafkaError, OSError, ValueError) as error:
                _log.debug("the ends of logs are not known", reason=str(error))
                continue
            except Exception as error:  # noqa: BLE001 - kafka-python asserts, and meets its own mistakes
                self._begin_anew(consumer, f"{type(error).__name__}: {error}")
                consumer = None
                continue
            kept = {log: end for log, end in self.ends.items() if log in logs.values()}
            self.ends = {**kept, **{logs[tp]: end for tp, end in ends.items()}}
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=1_000)

    def _begin_anew(self, consumer: KafkaConsumer | None, reason: str) -> None:
        """Close a consumer of which nobody knows in what state it is."""
        if reason != self._told:
            self._told = reason
            _log.warning("the ends of logs are not known, it is connected anew", reason=reason)
        if consumer is not None:
            with suppress(Exception):
                consumer.close(autocommit=False, timeout_ms=1_000)

    def _connected(self) -> KafkaConsumer:
        return connect(
            KafkaConsumer,
            self._settings,
            self._environ,
            group_id=None,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            isolation_level="read_committed",
        )


def _ends(consumer: KafkaConsumer, logs: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Their ends; topic by topic where not all are known, since one may have no leader."""
    wanted = sorted(logs)
    try:
        return offsets_of_known(consumer.end_offsets, wanted, ANSWER_WITHIN_MS)
    except errors.KafkaError:
        topics = sorted({tp.topic for tp in wanted})
        if len(topics) == 1:
            raise
    until = time.monotonic() + _ROUND_S
    found: dict[TopicPartition, int] = {}
    for topic in topics:
        if time.monotonic() >= until:
            break
        try:
            of_topic = [tp for tp in wanted if tp.topic == topic]
            found |= offsets_of_known(consumer.end_offsets, of_topic, ANSWER_WITHIN_MS)
        except errors.KafkaError as error:
            _log.debug("the ends of a topic are not known", topic=topic, reason=str(error))
    return found
