"""After the warm-up, nothing is left to compile for decoding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DECODES = """
import json, os, sys
from numba.core.dispatcher import Dispatcher
from streamer.config.load import load
from streamer.decoding.formats import DecodeContext
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.warmup import warm_up
from streamer.messages.records import Record
from streamer.messages.record_block import RecordBlock

def compiled():
    kernels = {
        (name, each): found
        for name, module in list(sys.modules.items()) if name.startswith("streamer.decoding")
        for each, found in vars(module).items() if isinstance(found, Dispatcher)
    }
    return {where: len(kernel.signatures) for where, kernel in kernels.items()}

# each example in a process of its own, which has the code loaded and no kernel
for example in sys.argv[1:]:
    if (child := os.fork()) == 0:
        break
    assert os.waitpid(child, 0)[1] == 0, example
else:
    sys.exit()
plan = compile_plan(load(f"examples/{example}.yaml"))
warm_up(plan)
before = compiled()
assert sum(before.values()) >= 4, before
symbols = [f"S{number}" for number in range(200)]
at = "2024-08-08T14:30:00Z"
own = [{"type": "match", "product": each, "at": at, "px": 1, "qty": 1} for each in symbols]
market = [{"e": "trade", "s": each, "t": 7, "p": "1", "q": "2", "T": 5, "m": True} for each in symbols]
public = [{"event_type": "metric", "venue": "v", "symbol": each, "value": 1} for each in symbols]
table = [{"ts_ms": "5", "side": "buy", "price": "1", "amount": "2"} for each in symbols]
for feed in plan.feeds:
    taken = 0
    for events in (own, market, public, table):
        block = RecordBlock.of([Record(n, json.dumps(event).encode(), 5) for n, event in enumerate(events)])
        taken += len(feed.format.columns(block, DecodeContext("ALFA_1.csv.gz", "v")).events.place)
    assert taken == len(symbols), taken
assert compiled() == before
"""


def test_kernels_of_a_plans_formats_are_compiled() -> None:
    command = [sys.executable, "-c", DECODES, "generic", "binance", "minimal"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
