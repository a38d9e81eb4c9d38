"""confluent-kafka, msgspec into columns, nothing else, in the peers' environment: ``BOOTSTRAP TOPIC COUNT``.

`consume(5000)` with the settings at which it does not stall, then for each message a decode into a struct,
then columns of numpy. The rate is from the first batch to the last, without the first.
"""

from __future__ import annotations

import json
import sys
import time
import uuid

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaException

AT_ONCE = 5_000


class _Message(msgspec.Struct, gc=False):
    s: str
    e: str = "bookTicker"
    T: int = 0
    t: int = 0
    p: float = float("nan")
    q: float = float("nan")
    m: bool = False
    b: float = float("nan")
    B: float = float("nan")
    a: float = float("nan")
    A: float = float("nan")


class _Envelope(msgspec.Struct, gc=False):
    data: _Message


def main(bootstrap: str, topic: str, count: str) -> None:
    """Read the topic once."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"bench-{uuid.uuid4().hex[:12]}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    consumer.subscribe([topic])
    decode = msgspec.json.Decoder(_Envelope, strict=False).decode
    codes: dict[str, int] = {}
    seen = first = 0
    began = total = 0.0
    while seen < int(count):
        messages = consumer.consume(AT_ONCE, timeout=1.0)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        events = [decode(message.value()).data for message in messages]
        columns = {
            name: np.array([getattr(event, name) for event in events], np.float64)
            for name in ("p", "q", "b", "B", "a", "A")
        }
        columns["T"] = np.array([event.T for event in events], np.int64)
        columns["m"] = np.array([event.m for event in events], np.bool_)
        columns["symbol"] = np.array([codes.setdefault(event.s, len(codes)) for event in events], np.int32)
        if events:
            total += float(np.nansum(columns["p"]))
            seen += len(events)
            if not began:
                began, first = time.perf_counter(), seen
    took = time.perf_counter() - began
    consumer.close()
    print(json.dumps({"rate": (seen - first) / took, "records": seen, "sum": total}))


if __name__ == "__main__":
    main(*sys.argv[1:])
