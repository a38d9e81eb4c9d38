"""Surveys of logs that a broker does not return at once."""

from __future__ import annotations

import struct

import pytest
from kafka.record import MemoryRecordsBuilder

from streamer.sources.kafka.damage_survey import SurveyedLog, survey

PER_BATCH, END, WANTED = 10, 2_000, 105


def _batch(base: int) -> bytes:
    builder = MemoryRecordsBuilder(2, 0, 1 << 20)
    for offset in range(base, base + PER_BATCH):
        builder.append(timestamp=1, key=None, value=b"%d" % offset, headers=[])
    builder.close()
    return struct.pack(">q", base) + builder.buffer()[8:]


LOG = [(base, _batch(base)) for base in range(0, END, PER_BATCH)]


@pytest.mark.parametrize("empty", [1, 8, 9, 12, 16, 20, 500])
def test_a_sound_log_is_never_skipped_since_a_broker_returns_nothing_at_first(empty: int) -> None:
    fetches = 0

    def fetch(offset: int) -> memoryview:
        nonlocal fetches
        fetches += 1
        read = b"" if fetches <= empty else b"".join(data for base, data in LOG if base + PER_BATCH > offset)
        return memoryview(read)

    found = survey(SurveyedLog(fetch, END, 1 << 28), WANTED)
    assert found.next_offset in (WANTED, None)
    assert fetches > empty or found.next_offset is None


def test_only_damage_that_one_fetch_shows_is_sure() -> None:
    def damaged(offset: int) -> memoryview:
        returned = [(base, data) for base, data in LOG if base + PER_BATCH > offset]
        return memoryview(b"".join(data[:-1] + b"?" if base <= WANTED else data for base, data in returned))

    def nothing_there(offset: int) -> memoryview:
        return memoryview(b"") if offset < 110 else damaged(offset)

    shown = survey(SurveyedLog(damaged, END, 1 << 28), WANTED)
    silent = survey(SurveyedLog(nothing_there, END, 1 << 28), WANTED)
    assert (shown.next_offset, shown.seen) == (110, True)
    assert (silent.next_offset, silent.seen) == (110, False)
