"""The parser reads what the printer writes, and what people write."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.language.errors import ExpressionError
from alerts.language.parse import parse
from alerts.language.syntax import (
    Arithmetic,
    Call,
    Comparison,
    Logic,
    Membership,
    Name,
    Negation,
    Node,
    Number,
    Sign,
    Text,
    render,
)

WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}(\.[a-z]{1,4})?", fullmatch=True).filter(
    lambda word: word not in ("and", "or", "not", "in")
)
DECIMALS = st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=6).map(Fraction)
UNITS = st.sampled_from(["", "bps", "%", "s", "m", "h", "d", "k", "M", "G"])
NUMBERS = st.builds(Number, DECIMALS, UNITS)
QUOTED = st.text(st.characters(exclude_characters="\n\"'", exclude_categories=["Cs"]), max_size=8)
LEAVES = NUMBERS | st.builds(Name, WORDS) | st.builds(Text, QUOTED | QUOTED.map(lambda text: text + "'"))


def sums(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return (
        st.builds(Arithmetic, st.sampled_from("+-*/"), inner, inner)
        | st.builds(Sign, st.sampled_from("+-"), inner)
        | st.builds(Call, WORDS, st.lists(inner, max_size=3).map(tuple))
    )


SUMS = st.recursive(LEAVES, sums, max_leaves=6)
RELATIONS = (
    SUMS
    | st.builds(Comparison, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS, SUMS)
    | st.builds(Membership, SUMS, st.lists(SUMS, min_size=1, max_size=3).map(tuple), st.booleans())
)


def logic(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Logic, st.sampled_from(["and", "or"]), several) | st.builds(Negation, inner)


NODES = st.recursive(RELATIONS, logic, max_leaves=5)


@settings(max_examples=50, deadline=None)
@given(NODES)
def test_what_is_printed_is_read_back(node: Node) -> None:
    text = render(node)
    assert parse(text) == node
    assert render(parse(text)) == text


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.sampled_from("ab15.()[]<>=!+-*/%'\" \n,&|and or not in bps"), max_size=40)
    | st.text(max_size=30)
)
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    place = (1, 1)
    try:
        parse(text)
    except ExpressionError as error:
        place = error.line, error.column
    lines = text.split("\n")
    assert 1 <= place[0] <= len(lines)
    assert 1 <= place[1] <= len(lines[place[0] - 1]) + 1


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a or b and c", "a or (b and c)"),
        ("not a and b", "(not a) and b"),
        ("not a > b", "not (a > b)"),
        ("a - b - c > 0", "(a - b) - c > 0"),
        ("a / b * c > 0", "(a / b) * c > 0"),
        ("a + b * c > 0", "a + (b * c) > 0"),
        ("-a * b > 0", "(-a) * b > 0"),
        ("a\n  >\tb", "a > b"),
        ("a not in [1]", "(a) not in [(1)]"),
        ("1.50e3 > a", "1500 > a"),
        ("order > 1 and inner > 1 and nothing > 1", "(order > 1) and (inner > 1) and (nothing > 1)"),
    ],
)
def test_what_binds_first(text: str, same: str) -> None:
    assert parse(text) == parse(same)


def test_different_grouping_is_different() -> None:
    assert parse("a - (b - c) > 0") != parse("a - b - c > 0")
    assert parse("(a or b) and c") != parse("a or b and c")
