"""`tapewatch run` until it has folded so many records, then stopped as SIGTERM would: ``CONFIG COUNT``.

It is the command's own code; only `Observer.watch`, which it calls after every batch, has an onlooker.
The rate is from the first batch to the last, without the first.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from benchmarks.full import Tally
from streamer.app.daemon import DaemonOptions, run_service
from streamer.app.signals import ServiceSignals
from streamer.config.load import load
from streamer.config.secrets import resolve_secrets
from streamer.pipeline.compiling import Unseen
from streamer.pipeline.runner_context import StepResult
from streamer.serve.observer import Observer


def main(path: str, count: str) -> None:
    """Run the service."""
    config = load(Path(path))
    tally = Tally()
    began = ended = 0.0
    first = 0
    whole = Observer.watch

    def watch(self: Observer, step: StepResult) -> None:
        nonlocal began, ended, first
        whole(self, step)
        tally.watch(step)
        if not began:
            began, first = time.perf_counter(), tally.records
        if tally.records >= int(count) and not ended:
            ended = time.perf_counter()
            os.kill(os.getpid(), signal.SIGTERM)

    Observer.watch = watch  # type: ignore[method-assign]
    options = DaemonOptions(Unseen(), ServiceSignals())
    run_service(config, resolve_secrets(config, os.environ), options)
    found = {"records": tally.records, "scored": tally.scored, "dead": tally.dead, "alerts": tally.alerts()}
    print(json.dumps({"rate": (tally.records - first) / (ended - began), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
