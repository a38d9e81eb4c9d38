"""What the lines of a summary say of a critical: its text and its value, once each, in one line."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.alert_bodies import alert_body

from alerts.receivers.receiver import Delivery
from alerts.receivers.slack.message import called
from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY
from alerts.stages.summary import SummaryHeading, summaries
from alerts.stages.view import WaitingDelivery

NAMED = SummaryHeading(DELIVERY_SUMMARY, "desk", lambda count: f"{count} critical", counts_named=True)
HEADING = SummaryHeading(DELIVERY_SUMMARY, "desk", lambda count: f"{count} alerts")


def measured(peak: float, unit: str = "", measure: str = "size") -> dict[str, Any]:
    return {"began": "2026-01-05T14:30:00Z", "measure": measure, "unit": unit, "peak": peak}


def line(text: str, *, symbol: str = "ACME", heading: SummaryHeading = HEADING, **body: Any) -> str:
    """The line of one critical in a summary, without its id."""
    body = {"values": {"size": 512.0, "size_mean_1h": 8.25, "symbol": symbol}, **body}
    stored = alert_body("3f9a0c12aa", symbol=symbol, text=text, **body)
    one = WaitingDelivery(
        *(1, "3f9a0c12aa", 0, "fat_finger", "critical", "fired", "XNAS", symbol),
        behind_s=7_200.0,
        body=stored,
    )
    (part,) = summaries(heading, [one], 0.0)
    first, said = (part.alert.text or "").split("\n")
    assert first == f"{heading.line(1)}:"
    assert said.endswith(" · 3f9a0c12")
    return said.removesuffix(" · 3f9a0c12")


@pytest.mark.parametrize(
    ("text", "episode", "shown"),
    [
        ("ACME fell to a bid of 15 lots", measured(5.0), "Fell to a bid of 15 lots [size 5]"),
        ("ACME: one trade of 512", measured(512.0), "One trade of 512"),
        ("ACME: one trade of 512.0 lots", measured(512.0), "One trade of 512.0 lots"),
        ("ACME: 5.5 lots, 1.5k, 2,5", measured(5.0), "5.5 lots, 1.5k, 2,5 [size 5]"),
        ("ACME moved +30.4 bps in 10 s", measured(30.41, "bps", "move"), "Moved +30.4 bps in 10 s"),
        (
            "ACME moved +30.4 bps in 10 s",
            measured(10.0, "bps", "move"),
            "Moved +30.4 bps in 10 s [move 10 bps]",
        ),
        ("ACME: nothing received for 35 s", measured(35.2, "s", "silence_s"), "Nothing received for 35 s"),
        ("ACME is crossed", measured(-5.0, "bps", "spread_bps"), "ACME is crossed [spread_bps -5 bps]"),
        ("ACME: 480 orders in a second", measured(480.0, "/s", "rate"), "480 orders in a second"),
        ("", measured(5.0), "size 5"),
    ],
)
def test_the_value_is_there_once(text: str, episode: dict[str, Any], shown: str) -> None:
    assert line(text, episode=episode) == f"• fat_finger XNAS ACME: {shown}"


def test_a_number_that_is_cut_off_is_shown_where_the_rule_has_no_measure() -> None:
    values = {"symbol": "ACME", "account": "x1", "size": 512.0, "price": 10.25}
    below = line("ACME: by x1\n512.0 at 10.25", values=values)
    assert below == "• fat_finger XNAS ACME: By x1 [size 512, price 10.25]"
    beyond = line(f"ACME: {'very ' * 40}large, 512.0 at 10.25", values=values)
    assert beyond.endswith("… [size 512, price 10.25]")
    assert line("ACME: 512.0 at a bad price", values=values) == "• fat_finger XNAS ACME: 512.0 at a bad price"


def test_what_is_not_printable_is_shown_by_its_number() -> None:
    said = line(
        "AC\nME\x1b[2J traded 512",
        symbol="AC\nME\x1b[2J",
        values={"who": "b\u202eob", "symbol": "AC\nME\x1b[2J"},
    )
    assert said == r"• fat_finger XNAS AC\nME\x1b[2J: Traded 512"


def test_a_late_one_says_when() -> None:
    late = SummaryHeading(DELIVERY_DIGEST, "desk", str, late=True)
    assert line("ACME: one trade of 512", heading=late) == (
        "• fat_finger XNAS ACME: One trade of 512 · 2026-01-05 14:30:00 UTC, 2h late"
    )


def waiting(alert_id: str, number: int, rank: int, transition: str, **body: Any) -> WaitingDelivery:
    stored = alert_body(alert_id, number, transition=transition, text="", **body)
    place = (ord(alert_id) * 10 + number, alert_id, number)
    return WaitingDelivery(
        *(*place, "thin_book", "critical", transition, "XNAS", alert_id), rank=rank, body=stored
    )


def told(*members: WaitingDelivery, heading: SummaryHeading = HEADING) -> tuple[list[str], tuple[str, ...]]:
    """The lines of a summary, without ids, and whom it calls."""
    (part,) = summaries(heading, members, 0.0)
    first, *lines = (part.alert.text or "").split("\n")
    sent = Delivery(part.alert.id, 0, "desk", part.alert.to_json())
    return [first, *(each.rsplit(" · ", 1)[0] for each in lines)], called(sent, ["<!here>"])


@pytest.mark.parametrize("late", [0, 100])
def test_only_what_is_news_calls_and_the_rest_is_said_to_be_still_open(late: int) -> None:
    known = [waiting(each, 2, late + 9, "updated", episode=measured(5.0)) for each in "ab"]
    lines, calls = told(*known)
    assert lines[1:] == [f"• thin_book XNAS {each}: size 5 (still open)" for each in "ab"]
    assert calls == ()
    new = waiting("c", 0, late, "fired", episode=measured(1.0))
    lines, calls = told(*known, new)
    assert lines[1:] == ["• thin_book XNAS c: size 1", *(f"{line}" for line in told(*known)[0][1:])]
    assert calls == ("<!here>",)
    risen = waiting("a", 1, late + 1, "updated", episode=measured(5.0))
    assert told(risen, *known)[1] == ("<!here>",)


def test_criticals_are_counted_by_episode() -> None:
    parts = [(0, 0, "fired"), (1, 9, "updated"), (2, 6, "resolved")]
    members = [waiting(each, *part, episode=measured(5.0)) for each in "abcd" for part in parts]
    lines, _ = told(*members, heading=NAMED)
    assert lines == ["4 critical:", *(f"• thin_book XNAS {each}: size 5 (over)" for each in "abcd")]


def test_the_worst_is_first_whichever_way_that_is_and_measures_are_not_compared() -> None:
    def fired(alert_id: str, peak: float, **more: Any) -> WaitingDelivery:
        return waiting(alert_id, 0, 0, "fired", episode={**measured(peak), **more})

    def shown(*members: WaitingDelivery) -> list[str]:
        return [line.partition(": ")[2] for line in told(*members)[0][1:]]

    low = {"measure": "bid_size", "worse": "lowest"}
    thin = [fired(each, peak, **low) for each, peak in (("a", 9.0), ("b", 1.0), ("d", -5.0))]
    assert shown(*thin, fired("c", 900.0)) == ["bid_size -5", "bid_size 1", "bid_size 9", "size 900"]
    assert shown(fired("a", -50.0), fired("b", 2.0)) == ["size 2", "size -50"]
    far = [fired(each, peak, worse="farthest") for each, peak in (("a", 2.0), ("b", -50.0))]
    assert shown(*far) == ["size -50", "size 2"]
