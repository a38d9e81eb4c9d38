"""kafka-python's own `poll`, decoding nothing: ``BOOTSTRAP TOPIC COUNT``; from first records to last."""

from __future__ import annotations

import json
import sys
import time

from kafka import KafkaConsumer, TopicPartition

AT_ONCE = 5_000


def main(bootstrap: str, topic: str, count: str) -> None:
    """Read the first so many records of the topic once."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, max_poll_records=AT_ONCE
    )
    one = TopicPartition(topic, 0)
    consumer.assign([one])
    consumer.seek_to_beginning(one)
    seen = first = size = 0
    began = 0.0
    while seen < int(count):
        for found in consumer.poll(timeout_ms=1_000).values():
            seen += len(found)
            size += len(found[-1].value)
            if not began:
                began, first = time.perf_counter(), seen
    took = time.perf_counter() - began
    consumer.close(autocommit=False)
    print(json.dumps({"rate": (seen - first) / took, "records": seen, "size": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
