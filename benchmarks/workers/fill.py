"""Fills a topic with kafka-python: ``BOOTSTRAP TOPIC FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kafka import KafkaProducer


def main(bootstrap: str, topic: str, path: str) -> None:
    """Send each line of a file, wait until all have arrived."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=16_384)
    sent = 0
    with Path(path).open("rb") as lines:
        for line in lines:
            ms, key, value = line.rstrip(b"\n").split(b" ", 2)
            producer.send(topic, value, key=key, partition=0, timestamp_ms=int(ms))
            sent += 1
    producer.flush(timeout=120)
    producer.close()
    print(json.dumps({"records": sent}))


if __name__ == "__main__":
    main(*sys.argv[1:])
