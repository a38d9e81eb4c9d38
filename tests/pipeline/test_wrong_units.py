"""Times in another unit than the one that is declared, and times that are merely far off."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from market_bytes import MS, T0, S

from streamer.config.load import load_text
from streamer.decoding.formats import DecodeContext
from streamer.messages.notices import FarOffTime
from streamer.messages.outcome import Outcome
from streamer.messages.records import NO_TIME, Partition, Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task
from streamer.store.clock_alerts import notice_text

DAY, YEAR = 86_400 * S, 365 * 86_400 * S
NO = int(NO_TIME)
PER = {"s": S, "ms": MS, "us": 1_000, "ns": 1}


CONFIG = """
source:
  kafka: {{bootstrap: "127.0.0.1:1"}}
  topics:
    - match: t
      venue: x
      format:
        event_type: trade
        symbol: s
        ts_event: {{path: t, unit: {unit}}}
        trade: {{price: p, size: q}}
rules:
  every: {{when: price > 0, clear: 0s}}
"""


def plan(unit: str) -> Plan:
    return compile_plan(load_text(CONFIG.format(unit=unit)))


def fold(unit: str, counts: Sequence[int], record_times: Sequence[int], size: int = 500) -> list[Outcome]:
    made, records = plan(unit), []
    for at, (count, record_time) in enumerate(zip(counts, record_times, strict=True)):
        value = json.dumps({"s": "ABC", "t": count, "p": 10, "q": 1}).encode()
        records.append(Record(at, value, record_time))
    task, feed = Task(made, Partition("t", "", 0)), made.feeds[0]
    return [
        task.step(feed.format.decode(records[at : at + size], DecodeContext("t", "x")))
        for at in range(0, len(records), size)
    ]


def dead(outcomes: Sequence[Outcome]) -> list[tuple[int, str]]:
    return [(letter.offset, letter.reason) for out in outcomes for letter in out.dead]


def notices(outcomes: Sequence[Outcome]) -> list[FarOffTime]:
    found = [each for out in outcomes for each in out.notices]
    assert all(isinstance(each, FarOffTime) for each in found)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("declared", "fits"), [("ms", "s"), ("us", "s"), ("us", "ms"), ("ns", "s"), ("ns", "ms"), ("ns", "us")]
)
def test_a_record_whose_time_fits_in_another_unit_is_a_dead_letter_that_names_it(
    declared: str, fits: str
) -> None:
    times = [T0 + at * S for at in range(40)]
    for size in (1, 500):
        outcomes = fold(declared, [t // PER[fits] for t in times], times, size)
        letters = [letter for out in outcomes for letter in out.dead]
        assert [letter.reason for letter in letters] == ["wrong_unit"] * 40
        assert letters[0].detail == (
            f"ts_event: read in {declared} the time is {letters[0].detail.split()[7][:-1]}; in {fits} it is "
            f"2023-11-14T22:13:20.000000000Z, within a day of its record's timestamp: declare unit {fits}"
        )
        assert letters[0].detail.split()[7].startswith("1970-01-")
        assert notices(outcomes) == []
        assert not [each for out in outcomes for each in out.transitions]


def test_in_a_file_the_watermark_says_which_unit_fits() -> None:
    good = [T0 // MS + at * 1_000 for at in range(30)]
    counts = [*good[:15], T0 // S + 15, *good[15:]]
    outcomes = fold("ms", counts, [NO] * 31)
    assert dead(outcomes) == [(15, "wrong_unit")]
    assert "within a day of the watermark" in outcomes[0].dead[0].detail


def test_a_whole_file_in_a_wrong_unit_is_told_once_with_the_unit_that_fits() -> None:
    counts = [T0 // S + at for at in range(40)]
    for size in (1, 500):
        outcomes = fold("ms", counts, [NO] * 40, size)
        assert dead(outcomes) == []
        (notice,) = notices(outcomes)
        assert (notice.offset, notice.unit, notice.fits, notice.reference_ns) == (0, "ms", "s", None)
        assert notice_text(notice).endswith("If it is not from then, its unit is s and not ms")


def test_one_wrong_first_time_in_a_file_refuses_none_that_follow() -> None:
    outcomes = fold("ms", [T0 // S, *(T0 // MS + at * 1_000 for at in range(40))], [NO] * 41)
    assert dead(outcomes) == []
    assert len(notices(outcomes)) == 1


def test_a_backfill_of_years_goes_through_and_is_told_once() -> None:
    old = [(T0 - 5 * YEAR) // MS + at * 1_000 for at in range(40)]
    outcomes = fold("ms", old, [T0] * 40)
    assert dead(outcomes) == []
    (notice,) = notices(outcomes)
    assert (notice.fits, notice.reference_ns) == ("", T0)
    assert "a year or more from 2023-11-14" in notice_text(notice)
    assert [each.transition for out in outcomes for each in out.transitions] == ["fired", "updated"]


def test_times_less_than_a_year_off_are_nobodys_business() -> None:
    outcomes = fold("ms", [(T0 - 300 * DAY) // MS + at for at in range(40)], [T0] * 40)
    assert (dead(outcomes), notices(outcomes)) == ([], [])


@pytest.mark.parametrize(
    ("declared", "sent"), [("s", "ms"), ("s", "us"), ("s", "ns"), ("ms", "us"), ("ms", "ns"), ("us", "ns")]
)
def test_a_time_too_late_in_its_unit_names_the_finer_one_that_fits(declared: str, sent: str) -> None:
    times = [T0 + at * S for at in range(40)]
    counts = [t // PER[sent] for t in times]
    for size in (1, 500):
        letters = [letter for out in fold(declared, counts, times, size) for letter in out.dead]
        assert [letter.reason for letter in letters] == ["wrong_unit"] * 40
        assert letters[0].detail.startswith(
            f"ts_event: {counts[0]} is past 2200 in {declared}; in {sent} it is 2"
        )
        assert letters[0].detail.endswith(f"within a day of its record's timestamp: declare unit {sent}")


def test_in_a_file_the_watermark_tells_which_finer_unit_fits() -> None:
    good, wrong = T0 // PER["ms"], T0 // PER["us"]
    outcomes = fold("ms", [wrong, good, wrong], [NO] * 3)
    (first, second) = [letter for out in outcomes for letter in out.dead]
    assert (first.offset, first.reason) == (0, "out_of_bounds")
    assert "in us it is of 20" in first.detail
    assert (second.offset, second.reason) == (2, "wrong_unit")
    assert second.detail.endswith("within a day of the watermark: declare unit us")
