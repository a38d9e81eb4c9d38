"""The bare loop's work in Quix Streams, in the peers' environment: ``BOOTSTRAP TOPIC FILE``.

The topic is on a real broker and filled before; FILE holds the same values, for the names of its instruments.
State lives in memory, in a plain dict: Quix Streams' own stores would take up every model on every event.
The rate is from the first event to the last.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path

from quixstreams import Application

from benchmarks.bare import Work, symbols_of


def main(bootstrap: str, topic: str, path: str) -> None:
    """Read the topic once."""
    values = Path(path).read_bytes().splitlines()
    work = Work(symbols_of(values))
    count = len(values)
    application = Application(
        broker_address=bootstrap,
        consumer_group=f"bench-{uuid.uuid4().hex[:12]}",
        auto_offset_reset="earliest",
        loglevel="ERROR",
    )
    first = last = 0.0

    def worked(value: bytes) -> float:
        nonlocal first, last
        if not first:
            first = time.perf_counter()
        score = work(value)
        if work.events == count:
            last = time.perf_counter()
            application.stop()
        return score

    frame = application.dataframe(application.topic(topic, value_deserializer="bytes"))
    frame.apply(worked)
    application.run()
    print(json.dumps({"rate": count / (last - first), "checksum": work.checksum, "events": work.events}))


if __name__ == "__main__":
    main(*sys.argv[1:])
