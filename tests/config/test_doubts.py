"""What is valid but can hardly be meant is told with its place; what is usual is not."""

from pathlib import Path

import pytest

from alerts.catalogue.files import set_names
from streamer.config.load import load, load_text
from streamer.pipeline.compile import compile_plan

CONFIG = """source: {{kafka: {{bootstrap: "x:1"}}, topics: [{{match: t, format: tapewatch}}]}}
detectors:
  tape: {{model: HalfSpaceTrees, features: [price]}}
rules:
  extends: [{sets}]
  a: {{when: "tape.score > 0.9"}}
  b: {{when: '{when}', severity: info{more}}}
"""


def warned(when: str, more: str = "", sets: str = "") -> list[str]:
    plan = compile_plan(load_text(CONFIG.format(when=when, more=more, sets=sets), "t"))
    return [f"{warning.column - 13}: {warning.message}" for warning in plan.warnings]


@pytest.mark.parametrize(
    ("when", "more", "message"),
    [
        ("tape.score > 5", "", "1: never true: tape.score is at most 1 (HalfSpaceTrees scores from 0 to 1)"),
        (
            "size > 3 and not tape.score <= 5",
            "",
            "18: never true: tape.score is at most 1 (HalfSpaceTrees scores from 0 to 1)",
        ),
        ("size > -5", "", "1: always true: size is at least 0"),
        ("silence_s > 1M", ", on: timer", "13: 1M is a million seconds, 12d: a minute is 1m"),
        (
            "tape.rarity > 5",
            "",
            "15: a rarity of 5 is one of 5 seconds: write its unit, such as 5m, 5h or 5d",
        ),
        (
            "tape.rarity > 30 * 60",
            "",
            "15: a rarity of 30 * 60 is one of 1,800 seconds, 30m: write its unit, such as 30m",
        ),
        ("silence_s > 500k", ", on: timer", "13: 500k is 500,000 seconds, 5.8d: a minute is 1m"),
        (
            "silence_s > 3600000",
            ", on: timer",
            "13: 3600000 is in seconds, 42d: 3600000 ms are 3600s",
        ),
        (
            "silence_s > 1000 * 1000",
            ", on: timer",
            "13: 1000 * 1000 is in seconds, 12d: as many ms are 1000s",
        ),
        (
            "silent_share_30s >= 50",
            ", on: timer",
            "1: never true: silent_share_30s is at most 100%: 50 per cent is written 50%",
        ),
        ("return_bps_10s > 150%", "", "18: 150% is 15,000 bps, more than 100%: 1% is 100bps"),
        (
            "spread_bps > 25bps * spread_bps_mean_1h",
            "",
            "14: 25bps of spread_bps_mean_1h is 0.25% of it: write 25bps alone, or a percentage",
        ),
        ("size > 10 and size < 5", "", "15: never true: size > 10 and size < 5 exclude each other"),
        ("size > 5 or size < 10", "", "13: always true: size > 5 or size < 10 leaves nothing out"),
        (
            "side != buy or side != sell",
            "",
            "1: always true: side is never both buy and sell (and was meant)",
        ),
        ("size >= size", "", "1: always true: both sides are size"),
    ],
)
def test_what_can_hardly_be_meant_is_told_where_it_stands(when: str, more: str, message: str) -> None:
    assert warned(when, more) == [message]


def test_silence_on_trades_and_idle_clauses_are_told() -> None:
    (silence,) = warned("silence_s > 30s and size > 5")
    assert "silence is seen on timers (on: timer)" in silence
    (weak,) = warned("size > 100", ", escalate: {critical: size > 50}")
    assert "every alert is critical" in weak
    (once,) = warned("size > 100", ", for: 1 of 5")
    assert "'1 of 5' is true at the first evaluation" in once


@pytest.mark.parametrize(
    "when",
    [
        "silence_s > 30",
        "tape.rarity > 1d and abs(return_bps_10s) > 10",
        "silence_s > 5k or silence_s > 2592000 or silence_s > 30 * 60",
        "tape.score >= 1",
        "size > 5 and size < 10",
        "size < 5 or size > 10",
        "spread_bps > 500% * spread_bps_mean_1h and price > 0",
        'symbol != "A" and symbol != "B"',
        "spread_bps < 0",
    ],
)
def test_what_is_usual_is_not(when: str) -> None:
    assert warned(when) == []


def test_nothing_that_ships_is_doubted() -> None:
    assert warned("size > 5", sets=", ".join(set_names())) == []
    examples = list((Path(__file__).parents[2] / "examples").glob("*.yaml"))
    assert len(examples) > 1
    for path in examples:
        assert compile_plan(load(path)).warnings == (), path
