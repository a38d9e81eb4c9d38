"""Compiles a plan's kernels before the first record comes, so that no poll waits for a compiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from streamer.decoding.formats import DecodeContext
from streamer.decoding.json import Interner
from streamer.decoding.json.byte_checks import has_lone_surrogate, nested_deeper
from streamer.messages.array_changes import UNIT
from streamer.messages.batch import Batch, Decoded, Instrument, Kind
from streamer.messages.record_block import PADDING, RecordBlock
from streamer.messages.records import Partition, Record
from streamer.messages.texts import Strings, Texts
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.clock_kernels import OWN, is_attested, told_time
from streamer.pipeline.compiling import (
    CompileView,
    Unseen,
    compile_elsewhere,
    only_load,
    processes_for,
    shown,
)
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task, Timer
from streamer.store.array_image import ArrayImage
from streamer.store.unit_kernels import gather, scatter, units_not_zero

_RECORDS = (Record(0, b"{}"), Record(1, None))
_MANY = 128
_INSTRUMENT = Instrument("warm-up", "warm-up")


def warm_up(
    plan: Plan,
    view: CompileView | None = None,
    also: Callable[[], object] = lambda: None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Load a plan's kernels, or compile them: read records in each format, and run a throw-away task.

    Where one is not kept, processes compile the parts of the plan side by side first.

    Parameters
    ----------
    plan
        What will be computed.
    view
        Shows a person what is compiled.
    also
        Done as well, such as a source's own kernels.
    stopped
        Whether to give up; then kernels are compiled as they are called.
    """
    kept = only_load(lambda: _run_once(plan))
    with shown(view or Unseen(), stopped) as progress:
        if not kept and (processes := processes_for(list(PARTS))):
            progress.begin(processes)
            compile_elsewhere(plan.document, list(PARTS), stopped, progress.compiled)
        if not kept and not stopped():
            _run_once(plan)
        if not stopped():
            also()


def _run_once(plan: Plan) -> None:
    _read(plan)
    _detect(plan)
    _compare(plan)


def _read(plan: Plan) -> None:
    for feed in plan.feeds:
        feed.format.columns(
            RecordBlock.of(_RECORDS), DecodeContext(feed.match, feed.venue or _INSTRUMENT.venue)
        )
    _number_texts()
    nested_deeper(b"[]", 1)
    has_lone_surrogate(b'""')


def _detect(plan: Plan) -> None:
    task = Task(plan, Partition("warm-up", "", 0))
    task.step(Decoded(_one_of_each(), (), {}))
    task.step(Timer(1, 10 * NS_PER_SECOND))
    task.rebase(0, 0)
    told_time(0, 0, 0)  # no instrument gives up its place here
    is_attested(np.zeros((1, len(OWN)), np.int64), 1, 0)
    for episodes in task.episodes[:1]:  # no rule may be true on these rows, and then none is followed
        nothing = np.zeros(1, np.bool_)
        episodes.step(
            np.zeros(1, np.int32),
            np.zeros(1, np.int64),
            np.zeros(1, np.int8),
            nothing,
            nothing,
            np.zeros(1, np.int8),
        )


def _compare(_: Plan) -> None:
    """What a checkpoint compares and gathers, in words and in bytes."""
    image, out = ArrayImage(), np.zeros(UNIT, np.uint8)
    for live in (np.zeros(1), np.zeros(1, np.int8)):
        image.take("live", live)
        image.take("live", live, np.ones(1, np.bool_))
    index = np.zeros(1, np.uint32)
    units_not_zero(np.zeros(1, np.uint64), 1, index)
    gather(out, UNIT, index, out.copy())
    read = out.copy()
    read.flags.writeable = False
    scatter(read, UNIT, index, out)


PARTS: Mapping[str, Callable[[Plan], None]] = {
    "detection": _detect,
    "decoding": _read,
    "checkpoints": _compare,
}
"""What may be compiled side by side: no two have kernels of any size in common. The largest comes first."""


def _number_texts() -> None:
    """More texts than an interner begins with, so that it grows."""
    size = np.full(_MANY, 1, np.int64)
    interner = Interner()
    interner.codes(np.arange(_MANY + PADDING, dtype=np.uint8), np.arange(_MANY), size)
    interner.take_another_key()  # compiled before anybody's names make it necessary


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
        source=np.zeros(n, np.int16),
        offset=np.arange(n, dtype=np.int64),
        index=np.zeros(n, np.int16),
        numbers=dict.fromkeys(
            ("price", "size", "bid_price", "bid_size", "ask_price", "ask_size", "value"), one
        ),
        texts=Texts(Strings(), {}),
    )
