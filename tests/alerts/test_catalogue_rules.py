"""Every rule set of the catalogue keeps to the contract, which catches those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from contracts import rule_sets as contract
from contracts.refused import refused
from contracts.rule_sets import CASES, CHECKS, Check, RuleSet, cases_of

from alerts.catalogue.files import read_set, set_names
from alerts.language.errors import ExpressionError

NAME = "market-data-quality"


def called(check: Check) -> str:
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize("name", set_names())
@pytest.mark.parametrize("check", CHECKS, ids=called)
def test_every_set(check: Check, name: str) -> None:
    check(name, read_set(name))


def test_all_values_are_of_rules_that_there_are() -> None:
    assert {case[:2] for case in CASES} == {(name, rule) for name in set_names() for rule in read_set(name)}


def changed(**settings: Any) -> RuleSet:
    """A set in which one rule is another."""
    rules = {rule: dict(given) for rule, given in read_set(NAME).items()}
    rules["crossed_book"].update(settings)
    return rules


def also(rule: str, given: Mapping[str, Any]) -> RuleSet:
    return {**read_set(NAME), rule: given}


A_RULE = read_set(NAME)["crossed_book"]


@pytest.mark.parametrize(
    ("rules", "check", "because"),
    [
        ({}, contract.check_names, None),
        (also("Crossed", A_RULE), contract.check_names, None),
        (also("fat_finger", A_RULE), contract.check_names, None),
        (also("surveillance", A_RULE), contract.check_names, None),
        (changed(why=""), contract.check_it_says_why_and_where_from_and_what, None),
        (changed(references=[]), contract.check_it_says_why_and_where_from_and_what, None),
        (changed(text="the book is crossed"), contract.check_it_says_why_and_where_from_and_what, None),
        (changed(severty="warning"), contract.check_it_says_why_and_where_from_and_what, ValueError),
        (changed(when="bid_prise > 1"), contract.check_it_is_true_there_and_just_not_here, ExpressionError),
        (changed(when="bid_price > 0"), contract.check_it_is_true_there_and_just_not_here, None),
        (changed(severity="info"), contract.check_it_is_true_there_and_just_not_here, None),
        (also("doubled_book", A_RULE), contract.check_it_is_true_there_and_just_not_here, LookupError),
    ],
)
def test_a_set_that_is_wrong_is_caught(rules: RuleSet, check: Check, because: type[Exception] | None) -> None:
    with refused(because):
        check(NAME, rules)


def test_a_rule_without_values_is_refused() -> None:
    with pytest.raises(LookupError, match="no values on which 'fat_thumb' of 'crypto' is true"):
        cases_of("crypto", "fat_thumb")


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"unknown rule set 'market-data' \(did you mean 'market-data-quality'\?\)"
    ):
        read_set("market-data")
