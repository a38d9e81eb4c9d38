"""The table of docs/event-time.md, in short: what lying times do to clocks and to silence."""

from __future__ import annotations

import json

import pytest

from benchmarks.lying_clocks import PAGE, RESULTS, Judged, Row, rows, table
from benchmarks.lying_feeds import feeds

SECONDS = 360


@pytest.mark.long
def test_lies_are_judged_as_documented() -> None:
    wanted = ("honest", "one event an hour", "the end of", "5 of 20", "a liar that")
    found = {row.feed: row for row in rows([feed for feed in feeds(SECONDS) if feed.name.startswith(wanted)])}
    assert len(found) == len(wanted)
    for name, row in found.items():
        assert row.guard.false_silences == row.guard.missed_silences == 0, name
        # going back an hour takes a minute to be believed: ten events a second
        assert row.guard.events <= (600 if name.startswith("the end of") else 0), name
        assert name == "honest" or row.maxima.events + row.maxima.false_silences > 100, name


def test_the_page_shows_what_was_measured() -> None:
    found = [
        Row(each["feed"], Judged(**each["maxima"]), Judged(**each["guard"]))
        for each in json.loads(RESULTS.read_text())
    ]
    assert table(found) in PAGE.read_text()


def test_the_page_has_a_row_for_every_feed() -> None:
    page = PAGE.read_text()
    assert [feed.name for feed in feeds(3) if f"| {feed.name} |" not in page] == []
