"""Which receivers an alert goes to."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from alerts.stages.route import RouteError, Router, RouteSettings

NAMES = ("desk", "ops", "tty")


def router(tree: dict[str, Any], names: tuple[str, ...] = NAMES) -> Router:
    return Router(RouteSettings.model_validate(tree), names)


def body(**changes: Any) -> dict[str, Any]:
    alert = {
        "origin": "detect",
        "transition": "fired",
        "rule": "fat_finger",
        "severity": "warning",
        "venue": "XNAS",
        "symbol": "ACME",
        "detector": None,
        "score": None,
        "source": {"topic": "trades"},
    }
    return {**alert, **changes}


def test_without_a_word_on_it_everybody_gets_everything() -> None:
    assert router({}).receivers(body()) == NAMES


def test_names_come_once_and_in_the_order_of_the_configuration() -> None:
    assert router({"to": ["tty", "desk", "tty"]}).receivers(body()) == ("desk", "tty")
    assert router({"to": []}).receivers(body()) == ()


def test_the_first_branch_that_matches_decides() -> None:
    tree = {
        "to": ["desk"],
        "routes": [
            {"when": "severity == critical", "to": ["ops"]},
            {"when": "severity >= warning", "to": ["tty"]},
            {"when": "severity >= info", "to": ["desk", "ops"]},
        ],
    }
    chosen = router(tree)
    assert chosen.receivers(body(severity="critical")) == ("ops",)
    assert chosen.receivers(body(severity="warning")) == ("tty",)
    assert chosen.receivers(body(severity="info")) == ("desk", "ops")


def test_continue_adds_what_the_following_branches_say() -> None:
    tree = {
        "to": ["desk"],
        "routes": [
            {"when": "severity == critical", "to": ["ops"], "continue": True},
            {"when": 'venue == "XNAS"', "to": ["tty"]},
            {"when": "severity >= info", "to": ["desk"]},
        ],
    }
    assert router(tree).receivers(body(severity="critical")) == ("ops", "tty")
    assert router(tree).receivers(body(severity="info")) == ("tty",)


def test_whom_a_route_calls_is_inherited_like_its_receivers() -> None:
    tree = {
        "mention": "@here",
        "routes": [
            {"when": 'venue == "XLON"', "mention": []},
            {"when": 'venue == "XNAS"', "to": ["ops"], "mention": ["<@U0A1>", "@here"], "continue": True},
            {"when": "severity == critical", "to": ["desk", "ops"]},
        ],
    }
    chosen = router(tree)
    critical = body(severity="critical")
    assert chosen.mentions(critical, "ops") == ("<@U0A1>", "<!here>")
    assert chosen.mentions(critical, "desk") == ("<!here>",)
    assert chosen.mentions(critical, "tty") == ()
    assert chosen.mentions(body(severity="critical", venue="XLON"), "desk") == ()
    with pytest.raises(ValidationError, match=r"'@everone' is not a mention .did you mean"):
        router({"mention": ["@everone"]})


def test_branches_of_branches_inherit() -> None:
    tree = {
        "to": ["desk"],
        "routes": [
            {
                "when": 'venue == "XNAS"',
                "to": ["ops"],
                "routes": [
                    {"when": 'symbol in ["ACME", "EMCA"]'},
                    {"when": "severity == critical", "to": ["tty"]},
                ],
            }
        ],
    }
    chosen = router(tree)
    assert chosen.receivers(body()) == ("ops",)
    assert chosen.receivers(body(symbol="OTHER", severity="critical")) == ("tty",)
    assert chosen.receivers(body(symbol="OTHER")) == ("ops",)
    assert chosen.receivers(body(venue="XLON")) == ("desk",)


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ('rule == "fat_finger"', True),
        ('rule in ["crossed_book"]', False),
        ("severity != info", True),
        ("severity < warning", False),
        ("transition == fired and not (origin == service)", True),
        ('detector == "tape"', False),
        ("score > 0.5", False),
        ("not score > 0.5", False),
    ],
)
def test_conditions_over_an_alert(when: str, matches: bool) -> None:
    found = router({"to": ["desk"], "routes": [{"when": when, "to": ["ops"]}]}).receivers(body())
    assert found == (("ops",) if matches else ("desk",))


def test_a_score_can_be_asked_for() -> None:
    chosen = router({"to": [], "routes": [{"when": 'detector == "tape" and score > 0.5', "to": ["ops"]}]})
    assert chosen.receivers(body(detector="tape", score=0.75)) == ("ops",)
    assert chosen.receivers(body(detector="tape", score=1)) == ("ops",)
    assert chosen.receivers(body(detector="tape", score=0.25)) == ()


def test_a_rarity_can_be_asked_for() -> None:
    chosen = router({"to": [], "routes": [{"when": "rarity > 7d", "to": ["ops"]}]})
    assert chosen.receivers(body(detector="tape", rarity_s=8 * 86_400.0)) == ("ops",)
    assert chosen.receivers(body(detector="tape", rarity_s=6 * 86_400.0)) == ()
    assert chosen.receivers(body(detector="tape", rarity_s=None)) == ()


def about(receiver: str) -> dict[str, Any]:
    return body(origin="service", rule="delivery_parked", source={"receiver": receiver, "reason": "http_404"})


def test_an_alert_about_a_receiver_goes_to_the_others() -> None:
    only_desk = router({"to": ["desk"]})
    assert only_desk.receivers(about("desk")) == ("ops", "tty")
    assert only_desk.receivers(about("ops")) == ("desk",)
    assert router({"to": ["desk", "ops"]}).receivers(about("desk")) == ("ops",)
    assert router({"to": ["desk"]}, ("desk",)).receivers(about("desk")) == ()
    assert router({"to": []}).receivers(about("desk")) == ("ops", "tty")


def test_an_alert_of_detection_is_never_taken_for_one_about_a_receiver() -> None:
    assert router({"to": ["desk"]}).receivers(body(source={"receiver": "desk"})) == ("desk",)


def test_all_that_is_wrong_is_told_with_its_place() -> None:
    tree = {
        "to": ["dsk"],
        "routes": [
            {"when": "severty == critical", "to": ["desk"]},
            {"when": "severity == critical", "routes": [{"when": "score >", "to": ["desk", "nobody"]}]},
        ],
    }
    with pytest.raises(RouteError) as raised:
        router(tree)
    found = {(problem.path, problem.line, problem.column) for problem in raised.value.problems}
    assert (("to", 0), 1, 1) in found
    assert (("routes", 0, "when"), 1, 1) in found
    assert (("routes", 1, "routes", 0, "to", 1), 1, 1) in found
    assert any(path == ("routes", 1, "routes", 0, "when") for path, _, _ in found)
    assert "there is no receiver 'dsk' (did you mean 'desk'?)" in str(raised.value)
    assert "(did you mean 'severity'?)" in str(raised.value)
