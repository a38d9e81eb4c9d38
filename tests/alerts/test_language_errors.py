"""Everything that can be wrong with an expression: the message, and the place."""

from __future__ import annotations

import pytest
from alerts_market import MARKET, explaining

from alerts.language.condition import compile_condition
from alerts.language.errors import ExpressionError

DEEP = "(" * 70 + "size > 1" + ")" * 70

WRONG = [
    # the shape
    ("", "1:1: the expression is empty"),
    (" \n ", "1:1: the expression is empty"),
    ("size >", "1:7: the expression ends too early"),
    ("not", "1:4: the expression ends too early"),
    ("(size > 5", "1:1: '(' is never closed"),
    ("size in [1, 2", "1:9: '[' is never closed"),
    ("min(size, 5 > 3", "1:4: '(' is never closed"),
    ("size > 5)", "1:9: unexpected ')'"),
    ("size > 5 price", "1:10: unexpected 'price'"),
    ("size > 5 5", "1:10: unexpected '5'"),
    ("size @ 5", "1:6: unexpected '@'"),
    ("size % 5 > 1", "1:6: unexpected '%'"),
    ("size, price", "1:5: unexpected ','"),
    ("size = 5", "1:6: unexpected '=' (did you mean '=='?)"),
    ("size > 5 && price > 5", "1:10: unexpected '&&' (did you mean 'and'?)"),
    ("size > 5 & price > 5", "1:10: unexpected '&' (did you mean 'and'?)"),
    ("size > 5 || price > 5", "1:10: unexpected '||' (did you mean 'or'?)"),
    ("size > 5 AND price > 5", "1:10: unexpected 'AND' (did you mean 'and'?)"),
    ("!(size > 5)", "1:1: unexpected '!' (did you mean 'not'?)"),
    ("size <> 5", "1:6: unexpected '<>' (did you mean '!='?)"),
    ("size => 5", "1:6: unexpected '=>' (did you mean '>='?)"),
    ("symbol == 'BTC", "1:11: the quote is never closed"),
    ("size in []", "1:9: the list is empty"),
    ("size in price", "1:9: 'in' needs a list (write in [price, ...])"),
    ("1 < size < 5", "1:10: comparisons cannot be chained (write 1 < size and size < 5)"),
    ("price == size == 5", "1:15: comparisons cannot be chained (write price == size and size == 5)"),
    ("size > 1e400", "1:8: '1e400' is out of range"),
    ("size > 1e99999999999", "1:8: '1e99999999999' is out of range"),
    ("size > 1e200 * 1e200", "1:8: '1e200 * 1e200' is out of range"),
    (DEEP, "1:1: operations are nested more than 60 deep"),
    ("+".join(["size"] * 80) + " > 1", "1:1: operations are nested more than 60 deep"),
    ("size > " + "1" * 2_000, "1:2001: the expression is longer than 2000 characters"),
    ("size > 5\n  and\nprice = 3", "3:7: unexpected '=' (did you mean '=='?)"),
    # as elsewhere
    ("size > 500,000", "1:8: '500,000' is written without separators (did you mean '500000'?)"),
    ("size > 1.000,5", "1:8: '1.000,5' is written without separators (did you mean '1000.5'?)"),
    ("size > 1.000.000", "1:8: '1.000.000' is written without separators (did you mean '1000000'?)"),
    ("size > $500k", "1:8: money is written as a plain number (did you mean '500k'?)"),
    ("size > €1M", "1:8: money is written as a plain number (did you mean '1M'?)"),
    ("size > 1_000", "1:8: unknown unit '_000' in '1_000' (did you mean '1000'?)"),
    ("spread_bps > 1 bp", "1:14: a unit follows its number without a space (did you mean '1bps'?)"),
    ("spread_bps > 0.5 %", "1:14: a unit follows its number without a space (did you mean '0.5%'?)"),
    ("spread_bps > 0,5%", "1:14: a decimal point is a '.' (did you mean '0.5%'?)"),
    ("silence_s > 1 hour", "1:13: a unit follows its number without a space (did you mean '1h'?)"),
    ("silence_s > 250ms", "1:13: unknown unit 'ms' in '250ms' (did you mean '0.25s'?)"),
    ("size is 5", "1:6: unexpected 'is' (did you mean '=='?)"),
    ("NOT size > 5", "1:1: unexpected 'NOT' (did you mean 'not'?)"),
    ("size BETWEEN 5 AND 9", "1:1: there is no 'between' (did you mean 'size >= 5 and size <= 9'?)"),
    (
        "size > 1m",
        "1:1: cannot compare 'size' (a number) with '1m' (a duration) (m is for minutes: a million is 1M)",
    ),
    (
        "size > '5'",
        "1:1: cannot compare 'size' (a number) with ''5'' (a text) (a number is written without quotes: 5)",
    ),
    # names
    (
        "abs(retrun_bps_10s) > 10",
        "1:5: unknown name 'retrun_bps_10s' (did you mean 'return_bps_10s'?)",
    ),
    ("size > 5 or zzz > 1", "1:13: unknown name 'zzz'"),
    ("return_bps_9d > 1", "1:1: windows go from 1s to 1h, not 9d"),
    ("symbol == BTCUSDT", "1:11: unknown name 'BTCUSDT' (a text is written in quotes: \"BTCUSDT\")"),
    (
        "size > 1 and tape.rarity > 5bps",
        "1:14: cannot compare 'tape.rarity' (a duration) with '5bps' (a relative value)",
    ),
    ("tape.scor > 1", "1:1: unknown name 'tape.scor' (did you mean 'tape.score'?)"),
    ("aggressor_side == sel", "1:19: 'sel' is not one of buy, sell, none (did you mean 'sell'?)"),
    ("aggressor_side in [buy, 'hold']", "1:25: 'hold' is not one of buy, sell, none"),
    ("ab(size) > 1", "1:1: unknown function 'ab' (did you mean 'abs'?)"),
    ("sqrt(size) > 1", "1:1: unknown function 'sqrt' (there are abs, log, min, max)"),
    ("abs(size, 1) > 1", "1:1: abs takes 1 argument, not 2"),
    ("max(size) > 1", "1:1: max takes 2 to 20 arguments, not 1"),
    ("1 > 0", "1:1: the expression names no field, feature or detector: it never changes"),
    # units
    ("silence_s > 5min", "1:13: unknown unit 'min' in '5min' (did you mean '5m'?)"),
    ("size > 5x", "1:8: unknown unit 'x' in '5x' (there are k, M, G, bps, %, s, m, h, d)"),
    ("price > 10s", "1:1: cannot compare 'price' (a number) with '10s' (a duration)"),
    (
        "price > 25bps",
        "1:1: cannot compare 'price' (a number) with '25bps' (a relative value) "
        "(25bps of what? write 25bps * NAME)",
    ),
    (
        "return_bps_10s > silence_s",
        "1:1: cannot compare 'return_bps_10s' (a relative value) with 'silence_s' (a duration)",
    ),
    (
        "trade_rate_1m > 5%",
        "1:1: cannot compare 'trade_rate_1m' (a rate per second) with '5%' (a relative value) "
        "(5% of what? write 5% * NAME)",
    ),
    ("price + 10s > 1", "1:1: cannot add 'price' (a number) and '10s' (a duration)"),
    (
        "silence_s * silence_s > 1",
        "1:1: cannot multiply 'silence_s' (a duration) by 'silence_s' (a duration)",
    ),
    (
        "trade_rate_1m / silence_s > 1",
        "1:1: cannot divide 'trade_rate_1m' (a rate per second) by 'silence_s' (a duration)",
    ),
    (
        "max(price, 5, 1m) > 1",
        "1:15: cannot compare 'price' (a number) with '1m' (a duration) (m is for minutes: a million is 1M)",
    ),
    ("silence_s in [1m, 5%]", "1:1: cannot compare 'silence_s' (a duration) with '5%' (a relative value)"),
    ("size > 1 / 0", "1:8: '1 / 0' divides by zero"),
    ("size > log(0)", "1:8: 'log(0)' takes the logarithm of a number that is not positive"),
    # texts, conditions, and numbers in one another's place
    ("size", "1:1: 'size' (a number) is not a condition: compare it with something"),
    ("size > 1 and price", "1:14: 'price' (a number) is not a condition: compare it with something"),
    ("not symbol", "1:5: 'symbol' (a text) is not a condition: compare it with something"),
    ("symbol > 'A'", "1:1: 'symbol > 'A'' compares texts, which have no order: use == or !="),
    ("aggressor_side > buy", "1:1: 'aggressor_side > buy' compares texts, which have no order: use == or !="),
    (
        "severity >= side",
        "1:1: 'severity >= side' compares texts, which have no order: use == or !=",
    ),
    ("symbol == 5", "1:1: cannot compare 'symbol' (a text) with '5' (a number)"),
    ("side == 5", "1:1: cannot compare 'side' (one of buy, sell) with '5' (a number)"),
    ("symbol + 1 > 2", "1:1: 'symbol' (a text) is not a number"),
    ("(size > 1) == (price > 1)", "1:2: 'size > 1' (a condition) cannot be compared; use and, or, not"),
    ("price in [5, size]", "1:14: 'size' varies: a list holds only numbers and texts"),
    # kinds of events
    (
        "bid_price > price",
        "1:1: no event carries all of bid_price (quote), price (trade, order)",
    ),
    (
        "tape.score > 1 and value > 1",
        "1:1: no event carries all of tape.score (trade), value (metric)",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text[:30] or "empty" for text, _ in WRONG])
def test_says_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(text, explaining(MARKET.symbols.values()))
    assert str(caught.value) == message


def test_the_suggestion_can_be_had_by_itself() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition("price > 1 and\n  sise > 5", MARKET)
    error = caught.value
    assert (error.line, error.column, error.suggestion) == (2, 3, "size")
    assert error.message == "unknown name 'sise' (did you mean 'size'?)"


def test_a_field_that_the_chosen_kinds_never_have_is_refused_where_it_stands() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition("silence_s > 5 and bid_price > 3", MARKET, frozenset({0, 6}))
    expected = "1:19: 'bid_price' is never on trade, timer events, only on quote"
    assert str(caught.value) == expected
