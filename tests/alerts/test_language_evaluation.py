"""Expressions mean what a slow interpreter says, one row at a time, in Kleene's logic."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from alerts.language.condition import compile_condition
from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ABSENT, ExpressionColumns
from alerts.language.logarithm import logarithm
from alerts.language.symbols import Symbol, SymbolTable

NUMBERS = ("x", "y", "z")
TEXTS = ("s", "t")
MEMBERS = ("low", "middle", "high")
TABLE = SymbolTable.of(
    *(Symbol(name, "number") for name in NUMBERS),
    *(Symbol(name, "string") for name in TEXTS),
    Symbol("level", "enum", members=MEMBERS, ordered=True),
    Symbol("colour", "enum", members=("red", "green")),
)
VOCABULARY = ("other", "low", "a", "red", "high", "b", "green", "middle")

Row = dict[str, float | str | None]


@dataclass(frozen=True)
class Numeric:
    """An expression for a number, and its value on a row: a Fraction while everything in it is constant."""

    text: str
    value: Callable[[Row], float | Fraction]


@dataclass(frozen=True)
class Logical:
    """An expression for a condition, and its truth on a row: None where it is unknown."""

    text: str
    value: Callable[[Row], bool | None]


def number_of(row: Row, name: str) -> float:
    value = row[name]
    return value if isinstance(value, float) else math.nan


def literals() -> SearchStrategy[Numeric]:
    plain = st.sampled_from(["0", "1", "2", "0.1", "3.5", "1e3", "7k", ".25", "2M"])
    worth = {"7k": Fraction(7000), "2M": Fraction(2_000_000)}
    return plain.map(lambda text: Numeric(text, lambda _: worth.get(text) or Fraction(text)))


def columns_by_name() -> SearchStrategy[Numeric]:
    return st.sampled_from(NUMBERS).map(lambda name: Numeric(name, lambda row: number_of(row, name)))


def arithmetic(operator: str, a: float | Fraction, b: float | Fraction) -> float | Fraction:
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        a, b = float(a), float(b)
    if operator == "/":
        return a / b if b != 0 else math.nan
    return a + b if operator == "+" else a - b if operator == "-" else a * b


def chosen(function: str, a: float | Fraction, b: float | Fraction) -> float | Fraction:
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        a, b = float(a), float(b)
        if math.isnan(a) or math.isnan(b):
            return math.nan
    return min(a, b) if function == "min" else max(a, b)


def log_of(a: float | Fraction) -> float | Fraction:
    found = math.log(a) if a > 0 else math.nan
    return Fraction(found) if isinstance(a, Fraction) and not math.isnan(found) else found


@st.composite
def binary(draw: DrawFn, inner: SearchStrategy[Numeric]) -> Numeric:
    operator, a, b = draw(st.sampled_from("+-*/")), draw(inner), draw(inner)
    text = f"({a.text}) {operator} ({b.text})"
    return Numeric(text, lambda row: arithmetic(operator, a.value(row), b.value(row)))


@st.composite
def called(draw: DrawFn, inner: SearchStrategy[Numeric]) -> Numeric:
    function, a, b = draw(st.sampled_from(["abs", "log", "min", "max", "-"])), draw(inner), draw(inner)
    if function == "-":
        return Numeric(f"-({a.text})", lambda row: -a.value(row))
    if function == "abs":
        return Numeric(f"abs({a.text})", lambda row: abs(a.value(row)))
    if function == "log":
        return Numeric(f"log({a.text})", lambda row: log_of(a.value(row)))
    return Numeric(
        f"{function}({a.text}, {b.text})", lambda row: chosen(function, a.value(row), b.value(row))
    )


NUMERIC = st.recursive(
    literals() | columns_by_name(), lambda inner: binary(inner) | called(inner), max_leaves=6
)
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def compared(operator: str, a: float | Fraction, b: float | Fraction) -> bool | None:
    a, b = float(a), float(b)
    return None if math.isnan(a) or math.isnan(b) else ORDERS[operator](a, b)


@st.composite
def comparison(draw: DrawFn) -> Logical:
    operator, a, b = draw(st.sampled_from(sorted(ORDERS))), draw(NUMERIC), draw(NUMERIC)
    return Logical(
        f"{a.text} {operator} {b.text}", lambda row: compared(operator, a.value(row), b.value(row))
    )


@st.composite
def number_membership(draw: DrawFn) -> Logical:
    a, items = draw(NUMERIC), draw(st.lists(literals(), min_size=1, max_size=3))
    return Logical(
        f"{a.text} in [{', '.join(item.text for item in items)}]",
        lambda row: either([compared("==", a.value(row), item.value(row)) for item in items]),
    )


@st.composite
def text_comparison(draw: DrawFn) -> Logical:
    name, negated = draw(st.sampled_from(TEXTS)), draw(st.booleans())
    other = draw(st.sampled_from([*TEXTS, "'a'", '"b"', "'nowhere'"]))

    def value(row: Row) -> bool | None:
        a, b = row[name], row[other] if other in TEXTS else other[1:-1]
        return None if a is None or b is None else (a == b) != negated

    return Logical(f"{name} {'!=' if negated else '=='} {other}", value)


@st.composite
def enum_comparison(draw: DrawFn) -> Logical:
    operator, member = draw(st.sampled_from(sorted(ORDERS))), draw(st.sampled_from(MEMBERS))
    turned = draw(st.booleans())

    def value(row: Row) -> bool | None:
        level = row["level"]
        if level is None:
            return None
        a, b = MEMBERS.index(str(level)), MEMBERS.index(member)
        return ORDERS[operator](b, a) if turned else ORDERS[operator](a, b)

    return Logical(f"{member} {operator} level" if turned else f"level {operator} {member}", value)


@st.composite
def enum_membership(draw: DrawFn) -> Logical:
    members = draw(st.lists(st.sampled_from(["red", "green", "'red'"]), min_size=1, max_size=2))
    negated = draw(st.booleans())
    plain = [member.strip("'") for member in members]
    return Logical(
        f"colour {'not in' if negated else 'in'} [{', '.join(members)}]",
        lambda row: None if row["colour"] is None else (row["colour"] in plain) != negated,
    )


def negated_truth(value: bool | None) -> bool | None:
    return None if value is None else not value


def both(values: list[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def either(values: list[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


@st.composite
def combined(draw: DrawFn, inner: SearchStrategy[Logical]) -> Logical:
    word = draw(st.sampled_from(["and", "or", "not"]))
    parts = draw(st.lists(inner, min_size=2, max_size=3))
    if word == "not":
        return Logical(f"not ({parts[0].text})", lambda row: negated_truth(parts[0].value(row)))
    decide = both if word == "and" else either
    text = f" {word} ".join(f"({part.text})" for part in parts)
    return Logical(text, lambda row: decide([part.value(row) for part in parts]))


SIMPLE = comparison() | number_membership() | text_comparison() | enum_comparison() | enum_membership()
LOGICAL = st.recursive(SIMPLE, combined, max_leaves=5)

VALUES = st.sampled_from(
    [math.nan, 0.0, -0.0, 1.0, -1.0, 2.0, 0.1, 3.5, 1000.0, 1e-300, -1e308, 1e308]
) | st.floats(allow_infinity=False)


@st.composite
def tables(draw: DrawFn) -> tuple[ExpressionColumns, list[Row]]:
    n = draw(st.integers(1, 12))
    left_out = draw(st.sets(st.sampled_from([*NUMBERS, *TEXTS, "level", "colour"]), max_size=2))
    numbers = {
        name: np.array(draw(st.lists(VALUES, min_size=n, max_size=n)), np.float64)
        for name in NUMBERS
        if name not in left_out
    }
    allowed = {"s": VOCABULARY, "t": VOCABULARY, "level": MEMBERS, "colour": ("red", "green")}
    codes = {}
    for name, texts in allowed.items():
        choices = [ABSENT, *(VOCABULARY.index(text) for text in texts)]
        chosen_codes = draw(st.lists(st.sampled_from(choices), min_size=n, max_size=n))
        if name not in left_out:
            codes[name] = np.array(chosen_codes, np.int32)
    columns = ExpressionColumns(numbers, codes, VOCABULARY, n)
    return columns, [row_of(columns, row) for row in range(n)]


def row_of(columns: ExpressionColumns, row: int) -> Row:
    found: Row = dict.fromkeys((*NUMBERS, *TEXTS, "level", "colour"))
    found |= {name: float(column[row]) for name, column in columns.numbers.items()}
    texts = {name: int(column[row]) for name, column in columns.codes.items()}
    return found | {name: None if code == ABSENT else VOCABULARY[code] for name, code in texts.items()}


def part_of(columns: ExpressionColumns, start: int, end: int) -> ExpressionColumns:
    return ExpressionColumns(
        {name: column[start:end] for name, column in columns.numbers.items()},
        {name: column[start:end] for name, column in columns.codes.items()},
        columns.strings,
        end - start,
    )


REFUSED = ("divides by zero", "logarithm of a number", "is out of range", "names no field")


@settings(max_examples=35, deadline=None)
@given(LOGICAL, tables())
def test_a_condition_is_what_the_interpreter_says(
    expression: Logical, table: tuple[ExpressionColumns, list[Row]]
) -> None:
    columns, rows = table
    try:
        condition = compile_condition(expression.text, TABLE)
    except ExpressionError as error:
        if any(known in error.message for known in REFUSED):
            assume(False)
        raise
    expected = [expression.value(row) is True for row in rows]
    assert condition.evaluate(columns).tolist() == expected
    one_by_one = [condition.evaluate(part_of(columns, i, i + 1)).tolist() for i in range(columns.n)]
    assert [row for part in one_by_one for row in part] == expected


@settings(max_examples=25, deadline=None)
@given(LOGICAL, tables())
def test_nothing_raises_or_warns_on_empty_batches(
    expression: Logical, table: tuple[ExpressionColumns, list[Row]]
) -> None:
    try:
        condition = compile_condition(expression.text, TABLE)
    except ExpressionError:
        assume(False)
    empty = part_of(table[0], 0, 0)
    found = condition.evaluate(empty)
    assert found.shape == (0,)
    assert found.dtype == np.bool_


@pytest.mark.parametrize(
    "text",
    [
        "x > 5",
        "x != 5",
        "not x > 5",
        "not x == 5",
        "x / 0.0001 != 1",
        "s != 'a'",
        "not s == 'a'",
        "level < high",
    ],
)
def test_a_missing_value_never_makes_a_condition_true(text: str) -> None:
    condition = compile_condition(text, TABLE)
    nothing = ExpressionColumns({}, {}, (), 2)
    absent = ExpressionColumns({"x": np.full(2, np.nan)}, {"s": np.full(2, ABSENT, np.int32)}, (), 2)
    assert condition.evaluate(nothing).tolist() == [False, False]
    assert condition.evaluate(absent).tolist() == [False, False]


def test_a_known_side_decides_alone() -> None:
    columns = ExpressionColumns({"x": np.array([1.0, 9.0]), "y": np.full(2, np.nan)}, {}, (), 2)
    assert compile_condition("x > 5 or y > 5", TABLE).evaluate(columns).tolist() == [False, True]
    assert compile_condition("not (x > 5 and y > 5)", TABLE).evaluate(columns).tolist() == [True, False]


def test_a_text_that_no_event_has_is_different_from_all() -> None:
    columns = ExpressionColumns({}, {"s": np.array([0, ABSENT], np.int32)}, ("a",), 2)
    assert compile_condition("s != 'zzz'", TABLE).evaluate(columns).tolist() == [True, False]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=70), st.integers(0, 3))
@example([0.1 * i for i in range(1, 65)], 1)
def test_a_logarithm_has_the_same_bits_wherever_it_stands(values: list[float], offset: int) -> None:
    spread = np.concatenate([np.ones(offset), np.array(values)])[offset:]
    whole = logarithm(spread)
    alone = np.concatenate([logarithm(spread[i : i + 1].copy()) for i in range(len(spread))])
    backwards = logarithm(spread[::-1])[::-1]
    assert whole.tobytes() == alone.tobytes() == backwards.tobytes()
    expected = [math.log(value) if value > 0 else math.nan for value in values]
    assert np.array_equal(whole, expected, equal_nan=True)
