"""What can be said about rules, and what cannot."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alerts.catalogue.files import read_set, set_names
from alerts.for_clause import Hold, parse_hold
from alerts.rule_settings import RuleSettings, RulesSettings


def rules(**said: object) -> RulesSettings:
    return RulesSettings.model_validate(said)


def test_rules_of_a_set_come_first_then_ones_own() -> None:
    found = rules(extends=["crypto", "market-data-quality"], mine={"when": "size > 1"}).enabled
    assert list(found) == [*read_set("crypto"), *read_set("market-data-quality"), "mine"]
    assert found["fat_finger"] == RuleSettings.model_validate(read_set("crypto")["fat_finger"])


def test_a_rule_of_a_set_can_be_changed_in_part() -> None:
    found = rules(extends=["crypto"], fat_finger={"when": "size > 9"}).enabled["fat_finger"]
    given = RuleSettings.model_validate(read_set("crypto")["fat_finger"])
    assert found.when == "size > 9"
    assert (found.severity, found.text) == (given.severity, given.text)


@pytest.mark.parametrize(
    ("severity", "left"), [("critical", []), ("warning", ["critical"]), ("info", ["critical"])]
)
def test_a_higher_severity_for_a_rule_of_a_set_leaves_out_the_escalations_it_makes_void(
    severity: str, left: list[str]
) -> None:
    found = rules(extends=["market-data-quality"], stale_feed={"severity": severity}).enabled["stale_feed"]
    assert (found.severity, list(found.escalate)) == (severity, left)


@pytest.mark.parametrize("off", [None, {"disabled": True}])
def test_a_rule_of_a_set_can_be_left_out(off: object) -> None:
    assert "fat_finger" not in rules(extends=["crypto"], fat_finger=off).enabled


def test_what_was_dumped_is_read_again() -> None:
    found = rules(extends=["crypto"], mine={"when": "size > 1", "for": "3 of 5", "on": "trade"}).enabled
    dumped = {name: rule.model_dump(mode="json") for name, rule in found.items()}
    assert RulesSettings.model_validate(dumped).enabled == found
    assert dumped["mine"]["for"] == "3 of 5"


def test_no_rules_at_all() -> None:
    assert rules().enabled == {}


COUNT = "cannot be counted (write m of n with 1 <= m <= n <= 64)"
HOW = "write an integer and s, m, h or d, such as 10s"
EVERY = "write 5m for a fixed one, 'off' for no updates, or 'backoff' for 30s, 1m, 2m … 1h"
REFUSED = [
    ({"extends": ["cripto"]}, ("extends", 0), "unknown rule set 'cripto' (did you mean 'crypto'?)"),
    ({"extends": ["zzz"]}, ("extends", 0), f"unknown rule set 'zzz' (there are {', '.join(set_names())})"),
    (
        {"Mine": {"when": "x"}},
        ("Mine",),
        "'Mine' is not a rule's name (small letters, digits and _, a letter first, at most 64)",
    ),
    ({"mine": None}, ("mine",), "there is no rule 'mine' in the sets to switch off"),
    (
        {"extends": ["crypto"], "fat_fingr": None},
        ("fat_fingr",),
        "there is no rule 'fat_fingr' in the sets to switch off (did you mean 'fat_finger'?)",
    ),
    ({"mine": {"severity": "info"}}, ("mine", "when"), "Field required"),
    (
        {"mine": {"when": "x", "clear": "60"}},
        ("mine", "clear"),
        f"'60' is not a duration: {HOW.replace('10s', '60s')}",
    ),
    ({"mine": {"when": "x", "clear": 60}}, ("mine", "clear"), f"60 is not a duration: {HOW}"),
    ({"mine": {"when": "x", "clear": "1001d"}}, ("mine", "clear"), "'1001d' is too long (at most 1000d)"),
    (
        {"mine": {"when": "x", "flap": "0s"}},
        ("mine", "flap"),
        "'0s' is no time to come back in (leave 'flap' out)",
    ),
    ({"mine": {"when": "x", "flap": 5}}, ("mine", "flap"), f"5 is not a duration: {HOW}"),
    ({"mine": {"when": "x", "updates": "never"}}, ("mine", "updates"), f"'never' is no interval: {EVERY}"),
    ({"mine": {"when": "x", "updates": False}}, ("mine", "updates"), f"false is no interval: {EVERY}"),
    ({"mine": {"when": "x", "updates": "0s"}}, ("mine", "updates"), f"'0s' would tell every event: {EVERY}"),
    (
        {"mine": {"when": "x", "updates": "1001d"}},
        ("mine", "updates"),
        "'1001d' is too long (at most 1000d)",
    ),
    ({"updates": 30, "mine": {"when": "x"}}, ("updates",), f"30 is no interval: {EVERY}"),
    (
        {"updates": {"when": "x"}},
        ("updates",),
        "is the default of all rules: give this rule another name",
    ),
    ({"mine": {"when": "x", "for": "5 of 3"}}, ("mine", "for"), f"'5 of 3' {COUNT}"),
    ({"mine": {"when": "x", "for": "1 of 65"}}, ("mine", "for"), f"'1 of 65' {COUNT}"),
    ({"mine": {"when": "x", "for": "0 of 3"}}, ("mine", "for"), f"'0 of 3' {COUNT}"),
    (
        {"mine": {"when": "x", "for": "0s"}},
        ("mine", "for"),
        "'0s' is no delay (leave 'for' out to alert at once)",
    ),
    (
        {"mine": {"when": "x", "for": "thrice"}},
        ("mine", "for"),
        f"'thrice' is not a duration: {HOW}; or a count, such as 3 of 5",
    ),
    ({"mine": {"when": "x", "on": []}}, ("mine", "on"), "names no kind (leave it out for the default)"),
    (
        {"mine": {"when": "x", "escalate": {"warning": "y"}}},
        ("mine", "escalate", "warning"),
        "'warning' is not above the rule's severity, warning",
    ),
    (
        {"mine": {"when": "x", "escalate": {"info": "y"}}},
        ("mine", "escalate", "info"),
        "'info' is not above the rule's severity, warning",
    ),
]


@pytest.mark.parametrize(("said", "place", "message"), REFUSED, ids=[str(said) for said, _, _ in REFUSED])
def test_says_what_is_wrong_and_where(
    said: dict[str, object], place: tuple[str | int, ...], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        rules(**said)
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"].removeprefix("Value error, ")) == (place, message)


@pytest.mark.parametrize(
    ("text", "hold"),
    [
        (None, Hold(1, 1, 0)),
        ("3 of 5", Hold(3, 5, 0)),
        ("64 of 64", Hold(64, 64, 0)),
        ("2m", Hold(1, 1, 120_000_000_000)),
    ],
)
def test_for_counts_or_lasts(text: str | None, hold: Hold) -> None:
    assert parse_hold(text) == hold


def test_updates_of_all_rules_are_the_default_of_each() -> None:
    found = rules(
        extends=["crypto"], updates="off", mine={"when": "x"}, loud={"when": "x", "updates": "5m"}
    ).enabled
    assert {name: rule.updates for name, rule in found.items() if rule.updates != "off"} == {"loud": "5m"}
    assert rules(mine={"when": "x"}).enabled["mine"].updates is None


def test_times_to_come_back_and_updates_stand_in_a_document_only_where_they_are_set() -> None:
    plain = RuleSettings(when="x").document(exclude=set())
    assert not {"flap", "updates", "measure"} & set(plain)
    said = {"flap": "5m", "updates": "off", "measure": "lowest x"}
    assert RuleSettings.model_validate({"when": "x", **said}).document(exclude=set()) == {**plain, **said}
