"""Sends events at a steady rate: ``BOOTSTRAP TOPIC RATE SECONDS MARKED_EVERY FILE``.

Trades of 200 instruments with the time of day; every so many is of the marked size, each time of the next
instrument. FILE gets when each was handed to `send`, in ns since 1970 (numpy), in the order of their offsets.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from kafka import KafkaProducer

from benchmarks.workload import SYMBOLS, symbol

MARK = "7777.5"
"""The size that marks an event."""

_STEP_NS = 1_000_000
_NAMES = [symbol(number) for number in range(SYMBOLS)]
_STRIDE = 7  # coprime to the number of instruments: one after another


def main(bootstrap: str, topic: str, rate: str, seconds: str, marked_every: str, path: str) -> None:
    """Send them all, and wait until they have arrived."""
    count, step = int(rate) * int(seconds), int(rate) * _STEP_NS // 10**9
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0)
    producer.partitions_for(topic)
    sent = np.zeros(count, np.int64)
    last = None
    began = time.time_ns()
    for first in range(0, count, step):
        due = began + first // step * _STEP_NS
        while (wait := due - time.time_ns()) > 0:
            time.sleep(wait / 1e9)
        for number in range(first, min(first + step, count)):
            name, value = _event(number, int(marked_every))
            sent[number] = now = time.time_ns()
            last = producer.send(topic, value % (now // 1_000_000), key=name, partition=0)
    took = (time.time_ns() - began) / 1e9
    producer.flush(timeout=30)
    end = -1 if last is None else last.get(timeout=30).offset
    producer.close()
    np.save(path, sent)
    print(json.dumps({"sent": count, "last_offset": end, "rate": count / took}))


def _event(number: int, marked_every: int) -> tuple[bytes, bytes]:
    marked = number % marked_every == 0
    at = number // marked_every * _STRIDE % SYMBOLS if marked else number * _STRIDE % SYMBOLS
    name, price = _NAMES[at], 100 + at + number % 11 * 0.01
    size = MARK if marked else f"{1 + number % 13}.5"
    return name.encode(), (
        f'{{"stream":"{name.lower()}@trade","data":{{"e":"trade","E":0,"s":"{name}",'
        f'"t":{number},"p":"{price:.8f}","q":"{size}","T":%d,"m":true,"M":true}}}}'
    ).encode()


if __name__ == "__main__":
    main(*sys.argv[1:])
