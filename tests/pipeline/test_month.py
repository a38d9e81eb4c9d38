"""A month goes by: what comes and goes leaves nothing behind, in the store or in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from month import KEEP, Size, live_through


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("divisor", [500, pytest.param(10, marks=pytest.mark.long)])
def test_store_and_memory_are_flat_after_the_first_days(divisor: int, tmp_path: Path) -> None:
    size = Size().part(divisor)
    lived = live_through(size, tmp_path)
    counts, samples = lived.counts, lived.samples
    assert counts["records"] == size.events + size.dead
    assert lived.month.planted * 0.9 < counts["fired"] <= lived.month.planted, "some fire while one is open"
    assert 0 <= counts["fired"] - counts["resolved"] < 50
    assert counts["delivered"] >= counts["fired"] + counts["resolved"]
    assert counts["pruned: alerts"] > counts["delivered"] / 2
    assert max(sample.instruments for sample in samples) <= size.room
    week = KEEP.alerts_s / 86_400 + 2
    settled = [sample for sample in samples if week < sample.day < 12]
    last = [sample for sample in samples if sample.day > 20]
    for what, spare in (("outbox", 0.1), ("store", 0.25), ("checkpoints", 0.5), ("dead_letters", 0.0)):
        most = max(getattr(sample, what) for sample in settled)
        more = {"outbox": 3 * most**0.5, "store": 2 << 20}.get(what, 0)  # chance; pages kept for what comes
        assert max(getattr(sample, what) for sample in last) <= most * (1 + spare) + more, what
    assert last[-1].rss - last[0].rss < 4 << 20
