"""The bare loop's work in a dataflow of Bytewax, in the peers' environment: ``FILE``, lines of values.

The source hands over values from memory in batches of 500, a `map` step does the work, a sink takes the
scores. Recovery is off: state lives in memory, as in the bare loop.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import TestingSource, run_main

from benchmarks.bare import Work, symbols_of

BATCH = 500


class _Counting(StatelessSinkPartition[float]):
    def __init__(self) -> None:
        self.taken = 0

    def write_batch(self, items: list[float]) -> None:
        self.taken += len(items)


class _Sink(DynamicSink[float]):
    def __init__(self) -> None:
        self.part = _Counting()

    def build(self, *_: Any) -> _Counting:
        return self.part


def main(path: str) -> None:
    """Run the dataflow once."""
    values = Path(path).read_bytes().splitlines()
    work, sink = Work(symbols_of(values)), _Sink()
    flow = Dataflow("bare")
    read = op.input("read", flow, TestingSource(values, batch_size=BATCH))
    op.output("taken", op.map("work", read, work), sink)
    began = time.perf_counter()
    run_main(flow)
    took = time.perf_counter() - began
    print(json.dumps({"rate": sink.part.taken / took, "checksum": work.checksum, "events": work.events}))


if __name__ == "__main__":
    main(*sys.argv[1:])
