"""Fills a topic with confluent-kafka, in the peers' environment: ``BOOTSTRAP TOPIC FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from confluent_kafka import KafkaException, Producer

_POLLED_EVERY = 10_000


def main(bootstrap: str, topic: str, path: str) -> None:
    """Send each line of a file, wait until all have arrived."""
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 16_384}
    producer = Producer({**settings, "queue.buffering.max.messages": 200_000, "enable.idempotence": True})
    arrived = 0

    def told(error: object, _message: object) -> None:
        nonlocal arrived
        if error is not None:
            raise KafkaException(error)
        arrived += 1

    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines):
            ms, key, value = line.rstrip(b"\n").split(b" ", 2)
            while True:
                try:
                    producer.produce(topic, value, key, 0, on_delivery=told, timestamp=int(ms))
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % _POLLED_EVERY == 0:
                producer.poll(0)
    producer.flush(120)
    print(json.dumps({"records": arrived}))


if __name__ == "__main__":
    main(*sys.argv[1:])
