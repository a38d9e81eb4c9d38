"""The thread that asks for the ends of logs outlives whatever the Kafka library raises."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from kafka import TopicPartition

from streamer.messages.records import Partition
from streamer.sources.kafka import end_watch
from streamer.sources.kafka.kafka_settings import KafkaSettings

LOG, TP = Partition("t", "", 0), TopicPartition("t", 0)


class Consumer:
    """A library's consumer that fails as one of its asserts does, and is of no use after that."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.closed = False

    def end_offsets(self, partitions: Iterable[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        if self.error is not None:
            raise self.error
        return dict.fromkeys(partitions, 7)

    def close(self, **_: object) -> None:
        self.closed = True
        assert self.error is None, "nor can it be closed"


def test_it_asks_on_a_new_connection_after_an_error_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    consumers = [Consumer(AssertionError()), Consumer(TypeError("None is no int")), Consumer(None)]
    left = iter(consumers)
    monkeypatch.setattr(end_watch, "ASK_EVERY_S", 0.01)
    monkeypatch.setattr(end_watch, "connect", lambda *_, **__: next(left))
    watch = end_watch.EndWatch(KafkaSettings(bootstrap="127.0.0.1:1"), {})
    watch.follow({TP: LOG})
    watch.start()
    deadline = time.monotonic() + 20
    while not watch.ends and time.monotonic() < deadline:
        time.sleep(0.01)
    watch.close()
    assert watch.ends == {LOG: 7}
    assert [each.closed for each in consumers[:2]] == [True, True]
