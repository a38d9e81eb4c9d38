"""Small blocks of several members that are decoded in one call give what each of them gives alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from market_bytes import T0, binance_book, binance_trade, market, records
from pipeline_world import plan_of

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.pipeline.joint_decoding import decode_together
from streamer.pipeline.member_queue import Block, Events, Fetched

SPOT = [binance_trade(T0, 100.0, 1.0), binance_book(99.0, 101.0), b'{"result": null, "id": 1}', b"{", None]


def found(events: Events, block: Block) -> list[Any]:
    """What the records of a block are decoded to, one after another."""
    counts = np.diff(events.first_row)
    rows = range(int(events.first_row[0]), int(events.first_row[-1]))
    batch = events.batch
    told = [
        (batch.instrument_of(row), batch.kind[row], batch.ts[row], batch.record_ts[row], batch.source[row],
         batch.offset[row], batch.index[row], batch.event(row))
        for row in rows
    ]  # fmt: skip
    assert sum(counts) == len(told)
    assert len(counts) == len(block)
    return [told, list(events.dead), counts.tolist(), {name: n for name, n in events.ignored.items() if n}]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("topic", ["trades.a", "spot.a"])
def test_small_blocks_give_together_what_each_gives_alone(topic: str, raw: bool) -> None:
    whole = market(60, seed=4, junk=0.2)
    if topic == "spot.a":
        whole = records([(T0 + at, SPOT[at * 7 % 5]) for at in range(60)])
    feed = plan_of().feed(topic)
    assert feed is not None
    cuts: Sequence[tuple[int, int]] = [(0, 9), (9, 10), (10, 31), (31, 60)]
    pieces: list[Sequence[Record]] = [
        [replace(record, offset=record.offset + 5) for record in whole[first:end]] for first, end in cuts
    ]
    if raw:
        pieces = [RecordBlock.of([whole[0], *piece, whole[-1]])[1:-1] for piece in pieces]
    decoders = [
        partial(feed.format.decode, context=feed.context(topic, place)) for place in range(len(pieces))
    ]
    alone, together = ([Block(piece, Fetched()) for piece in pieces] for _ in range(2))
    decode_together(list(enumerate(together)), decoders[0])
    assert all(block.is_decoded for block in together)
    for decode, one, other in zip(decoders, alone, together, strict=True):
        assert found(other.events(decode), other) == found(one.events(decode), one)
