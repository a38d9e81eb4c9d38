"""What the lines of a summary say of a critical: its text and its value, once each, in one line."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.alert_bodies import alert_body

from alerts.service_alert import DELIVERY_DIGEST, DELIVERY_SUMMARY
from alerts.stages.summary import SummaryHeading, summaries
from alerts.stages.view import WaitingDelivery

HEADING = SummaryHeading(DELIVERY_SUMMARY, "desk", lambda count: f"{count} alerts")


def measured(peak: float, unit: str = "", measure: str = "size") -> dict[str, Any]:
    return {"began": "2026-01-05T14:30:00Z", "measure": measure, "unit": unit, "peak": peak}


def line(text: str, *, symbol: str = "ACME", heading: SummaryHeading = HEADING, **body: Any) -> str:
    """The line of one critical in a summary, without its id."""
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
    said = line("AC\nME\x1b[2J traded 512", symbol="AC\nME\x1b[2J", values={"who": "b\u202eob"})
    assert said == r"• fat_finger XNAS AC\nME\x1b[2J: Traded 512"


def test_a_late_one_says_when() -> None:
    late = SummaryHeading(DELIVERY_DIGEST, "desk", str, late=True)
    assert line("ACME: one trade of 512", heading=late) == (
        "• fat_finger XNAS ACME: One trade of 512 · 2026-01-05 14:30:00 UTC, 2h late"
    )
