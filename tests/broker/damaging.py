"""Damages the log of a local broker: bytes of a partition's segment, in place, while the broker runs."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from broker.local import LocalBroker
from kafka import KafkaAdminClient, KafkaProducer

HEADER_BYTES = 61
"""Bytes of a record batch before its records."""


def new_topic(
    broker: LocalBroker, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> str:
    """A topic with these partitions; returns its name."""
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    wanted = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
    admin.create_topics({topic: wanted}, wait_for_metadata=True)
    admin.close()
    return topic


@contextmanager
def producing(broker: LocalBroker, codec: str | None = None) -> Iterator[KafkaProducer]:
    """A producer that sends what it has when it is flushed, as one batch a partition."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap,
        linger_ms=60_000,
        batch_size=4_000_000,
        max_request_size=1 << 30,
        compression_type=codec,
    )
    yield producer
    producer.close()


def segment_of(broker: LocalBroker, topic: str, partition: int = 0) -> Path:
    """The file of a partition's first segment."""
    return broker.folder / "data" / f"{topic}-{partition}" / f"{0:020}.log"


def batches_in(segment: Path) -> list[tuple[int, int, int]]:
    """Where each batch begins, its size, and its first offset."""
    data, at, found = segment.read_bytes(), 0, []
    while at + HEADER_BYTES <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        found.append((at, 12 + length, base))
        at += 12 + length
    return found


def flip(segment: Path, at: int, mask: int = 0xFF) -> None:
    """Flip bits of one byte."""
    with segment.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def overwrite(segment: Path, at: int, data: bytes) -> None:
    """Overwrite bytes."""
    with segment.open("r+b") as file:
        file.seek(at)
        file.write(data)
