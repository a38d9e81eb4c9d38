"""Compiles a plan's kernels before the first record comes, so that no poll waits for a compiler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from streamer.decoding.formats import DecodeContext
from streamer.decoding.json import Interner
from streamer.messages.batch import Batch, Decoded, Instrument, Kind
from streamer.messages.record_block import PADDING, RecordBlock
from streamer.messages.records import Partition, Record
from streamer.messages.texts import Strings, Texts
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task, Timer

_RECORDS = (Record(0, b"{}"), Record(1, None))
_MANY = 128
_INSTRUMENT = Instrument("warm-up", "warm-up")
_NOTICE = "preparing kernels (the first start compiles them, which may take half a minute)"
_QUICK_S = 1.0  # nobody needs to be told of less


def warm_up(plan: Plan, say: Callable[[str], None], also: Callable[[], object] = lambda: None) -> float:
    """Read records in each format, and run a throw-away task over an event of every kind and a timer.

    Parameters
    ----------
    plan
        What will be computed.
    say
        Told when it takes longer than a second: half a minute where nothing is compiled yet.
    also
        Done as well, such as a source's own kernels.

    Returns
    -------
    float
        Seconds it took.
    """
    began = time.monotonic()
    notice = threading.Timer(_QUICK_S, say, [_NOTICE])
    notice.start()
    try:
        _run_once(plan)
        also()
    finally:
        notice.cancel()
    took = time.monotonic() - began
    if took > _QUICK_S:
        say(f"kernels ready after {took:.1f} s")
    return took


def _run_once(plan: Plan) -> None:
    for feed in plan.feeds:
        feed.format.columns(
            RecordBlock.of(_RECORDS), DecodeContext(feed.match, feed.venue or _INSTRUMENT.venue)
        )
    _number_texts()
    task = Task(plan, Partition("warm-up", "", 0))
    task.step(Decoded(_one_of_each(), (), {}))
    task.step(Timer(1, 10 * NS_PER_SECOND))


def _number_texts() -> None:
    """More texts than an interner begins with, so that it grows."""
    size = np.full(_MANY, 1, np.int64)
    Interner().codes(np.arange(_MANY + PADDING, dtype=np.uint8), np.arange(_MANY), size)


def _one_of_each() -> Batch:
    kinds = [kind for kind in Kind if kind != Kind.TIMER]
    n = len(kinds)
    one = np.ones(n)
    return Batch(
        instruments=(_INSTRUMENT,),
        instrument=np.zeros(n, np.int32),
        kind=np.array(kinds, np.int8),
        ts=np.arange(n, dtype=np.int64) * NS_PER_SECOND,
        record_ts=np.zeros(n, np.int64),
        source=np.zeros(n, np.int8),
        offset=np.arange(n, dtype=np.int64),
        index=np.zeros(n, np.int16),
        numbers=dict.fromkeys(
            ("price", "size", "bid_price", "bid_size", "ask_price", "ask_size", "value"), one
        ),
        texts=Texts(Strings(), {}),
    )
