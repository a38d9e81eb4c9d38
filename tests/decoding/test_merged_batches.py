"""Batches of several members become one whose rows are the events as each member had them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.decoding import instruments
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import DecodeContext, build_format
from streamer.decoding.merged_batches import JoinedInstruments, merged_batch
from streamer.messages.batch import Batch
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record

TAPEWATCH = FormatSettings.model_validate("tapewatch")
FORMAT = build_format(TAPEWATCH)


def trade(number: int, symbol: str) -> bytes:
    event = {"event_type": "trade", "venue": "x", "symbol": symbol, "ts_event": 10**18 + number}
    return json.dumps({**event, "price": 1.0 + number, "size": 2.0, "trade_id": f"t{number}"}).encode()


def quote(number: int, symbol: str) -> bytes:
    event = {"event_type": "quote", "venue": "y", "symbol": symbol, "ts_event": 10**18 + number}
    prices = {"bid_price": 1.0, "bid_size": 1.0, "ask_price": 2.0, "ask_size": float(number)}
    return json.dumps({**event, **prices}).encode()


def decoded(values: list[bytes], source: int, *, slow: bool = False) -> Batch:
    records = [Record(offset, value, 10**18) for offset, value in enumerate(values)]
    context = DecodeContext("any", None, source)
    if slow:  # a few records at a time are read one by one, and number instruments of their own
        return FORMAT.decode(records[:9], context).batch
    return FORMAT.decode(RecordBlock.of(records), context).batch


def told(batch: Batch, row: int) -> tuple[Any, ...]:
    event = batch.event(row)
    columns = batch.kind, batch.ts, batch.record_ts, batch.source, batch.offset, batch.index
    return batch.instrument_of(row), *(column[row] for column in columns), event


MEMBERS = [
    decoded([trade(number, f"S{number % 3}") for number in range(40)], 0),
    decoded([quote(number, f"S{number % 5}") for number in range(30)], 1),
    decoded([trade(number, "S1") for number in range(9)], 2, slow=True),
]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_are_the_events_as_they_were(data: st.DataObject) -> None:
    parts = [part.take(np.arange(data.draw(st.integers(0, len(part))))) for part in MEMBERS]
    events = [told(part, row) for part in parts for row in range(len(part))]
    rows = data.draw(st.permutations(range(len(events))))
    rows = rows[: data.draw(st.integers(0, len(rows)))]
    batch = merged_batch(parts, np.array(rows, np.intp), JoinedInstruments())
    assert [told(batch, row) for row in range(len(batch))] == [events[row] for row in rows]
    kept = batch.take(np.arange(len(batch))[::2])
    assert [told(kept, row) for row in range(len(kept))] == [events[row] for row in rows[::2]]
    ids = [event[-1].get("trade_id") for event in (events[row] for row in rows)]
    codes = batch.texts["trade_id"].tolist() if "trade_id" in batch.texts else []
    assert [batch.texts.strings[code] if code >= 0 else None for code in codes] == ids[: len(codes)]


def test_instruments_keep_their_numbers_from_batch_to_batch() -> None:
    joined, members = JoinedInstruments(), [build_format(TAPEWATCH), build_format(TAPEWATCH)]
    found: dict[Any, int] = {}
    for start in range(0, 120, 20):
        parts = []
        for source, format_ in enumerate(members):
            values = [trade(n, f"S{(n * 7 + source) % (start + 3)}") for n in range(start, start + 20)]
            records = [Record(start + at, value, 10**18) for at, value in enumerate(values)]
            parts.append(format_.decode(records, DecodeContext("any", None, source)).batch)
        batch = merged_batch(parts, np.arange(40), joined)
        assert batch.instruments is joined.instruments
        for row, number in enumerate(batch.instrument.tolist()):
            assert found.setdefault(batch.instrument_of(row), number) == number
    assert sorted(found.values()) == list(range(len(joined.instruments)))


def test_a_full_table_begins_anew_and_misnames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MOST", 8)
    joined = JoinedInstruments()
    lists = []
    for first, end in pairwise(range(0, 61, 20)):
        part = decoded([trade(number, f"S{number}") for number in range(first, end)], 0)
        batch = merged_batch([part], np.arange(20)[::-1], joined)
        assert [batch.instrument_of(row).symbol for row in range(20)] == [f"S{n}" for n in range(first, end)][
            ::-1
        ]
        lists.append(batch.instruments)
    assert len({id(each) for each in lists}) == 3
