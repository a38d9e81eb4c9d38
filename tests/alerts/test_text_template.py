"""Texts of alerts: what they become, and what is refused."""

from __future__ import annotations

import math

import pytest
from alerts_market import MARKET, explaining
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.language.errors import ExpressionError
from alerts.text_template import MAX_LENGTH, compile_text

VALUES = {
    "symbol": "BTCUSDT",
    "venue": "binance",
    "price": 67123.456,
    "size": 512.0,
    "return_bps_10s": -31.04,
    "imbalance": 0.25,
    "aggressor_side": "sell",
    "tape.score": 0.987654321,
    "tape.rarity": 180_000.0,
    "notional": 1234567.89,
    "bid_price": None,
    "ask_price": math.inf,
    "value": 1e300,
}

FILLED = [
    ("nothing to fill", "nothing to fill"),
    ("", ""),
    ("{symbol} on {venue}", "BTCUSDT on binance"),
    ("{return_bps_10s:+.1f} bps", "-31.0 bps"),
    ("{price}|{size}|{tape.score}", "67,123.456|512|0.988"),
    ("{notional:,.0f}", "1,234,568"),
    ("{notional:15,.2f}|", "   1,234,567.89|"),
    ("{size:d} {size:,d} {size:.2e} {tape.score:.3g}", "512 512 5.12e+02 0.988"),
    ("once in {tape.rarity}, {tape.rarity:,.0f} s", "once in 2.1d, 180,000 s"),
    ("{imbalance:.1%} {return_bps_10s:.2%}", "25.0% -0.31%"),
    ("{aggressor_side:8s}|{symbol:.3s}", "sell    |BTC"),
    ("{{{symbol}}} {{}}", "{BTCUSDT} {}"),
    ("{bid_price} {bid_price:.2f} {ask_price:.2f} {ask_price:d} {ask_size}", "n/a n/a n/a n/a n/a"),
    ("{symbol}\nsecond line ä €", "BTCUSDT\nsecond line ä €"),
]


@pytest.mark.parametrize(("template", "filled"), FILLED, ids=[template for template, _ in FILLED])
def test_fills_names(template: str, filled: str) -> None:
    assert compile_text(template, MARKET).format(VALUES) == filled


HOW = "write for example +.1f: a sign, a width, a comma, digits after a point, and one of f e g d % s"
REFUSED = [
    ("{", "1:1: '{' is never closed (a brace itself is written {{)"),
    ("{symbol", "1:1: '{' is never closed (a brace itself is written {{)"),
    ("ok }", "1:4: '}' has no opening brace (a brace itself is written }})"),
    ("{symbol:{size}}", "1:1: '{' is never closed (a brace itself is written {{)"),
    ("{}", "1:2: a name is missing between the braces"),
    ("{:.1f}", "1:2: a name is missing between the braces"),
    ("{0}", "1:2: '0' is not a name: braces hold a name and a format, not an expression"),
    ("{size!r}", "1:2: 'size!r' is not a name: braces hold a name and a format, not an expression"),
    (
        "{size[0]}",
        "1:2: 'size[0]' is not a name: braces hold a name and a format, not an expression",
    ),
    ("{ size }", "1:2: ' size ' is not a name: braces hold a name and a format, not an expression"),
    ("{size.__class__}", "1:2: unknown name 'size.__class__'"),
    ("{symbol} at {prise}", "1:14: unknown name 'prise' (did you mean 'price'?)"),
    ("one\n {vanue}", "2:3: unknown name 'vanue' (did you mean 'venue'?)"),
    ("{return_bps_9d}", "1:2: windows go from 1s to 1h, not 9d"),
    ("{tape.rariti}", "1:2: unknown name 'tape.rariti' (did you mean 'tape.rarity'?)"),
    ("{size:}", f"1:7: a format is missing after the colon ({HOW})"),
    ("{size:>8.1f}", f"1:7: '>8.1f' is not a format ({HOW})"),
    ("{size:08.1f}", f"1:7: '08.1f' is not a format ({HOW})"),
    ("{size:x}", f"1:7: 'x' is not a format ({HOW})"),
    ("{size:21f}", "1:7: '21f' is wider than 20 characters"),
    ("{size:.10f}", "1:7: '.10f' has more than 9 digits after the point"),
    ("{size:+}", "1:7: '+' has no type (end it with f, e, g, d or %)"),
    ("{size:.1s}", "1:7: '.1s' is for texts, 'size' is a number"),
    ("{size:.1d}", f"1:7: '.1d' is not a format for this ({HOW})"),
    ("{symbol:.1f}", "1:9: '.1f' is for numbers, 'symbol' is a text"),
    ("{symbol:,s}", f"1:9: ',s' is not a format for this ({HOW})"),
]


@pytest.mark.parametrize(("template", "message"), REFUSED, ids=[template for template, _ in REFUSED])
def test_says_what_is_wrong_and_where(template: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_text(template, explaining(MARKET.symbols.values()))
    assert str(caught.value) == message


def test_names_come_once_in_order() -> None:
    symbols = compile_text("{size} {symbol} {size:.1f}", MARKET).symbols
    assert [symbol.name for symbol in symbols] == ["size", "symbol"]


def test_is_cut_where_it_is_too_long() -> None:
    filled = compile_text("{symbol}", MARKET).format({"symbol": "x" * 5_000})
    assert len(filled) == MAX_LENGTH
    assert filled.endswith("x…")


FORMATS = st.from_regex(r"[+\- ]?([1-9]|1[0-9]|20)?,?(\.[0-9])?[fegd%s]", fullmatch=True)
NUMBERS = st.none() | st.floats()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["size", "return_bps_10s", "symbol"]), FORMATS, NUMBERS, st.text(max_size=5))
def test_a_template_that_compiles_can_always_be_filled(
    name: str, spec: str, number: float | None, text: str
) -> None:
    template = f"{{{name}:{spec}}}"
    try:
        compiled = compile_text(template, MARKET)
    except ExpressionError:
        return
    value = text if name == "symbol" else number
    assert isinstance(compiled.format({name: value}), str)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("{}:.+1fsize!r[0]% "), max_size=20))
def test_any_template_is_compiled_or_refused_with_a_place_in_it(template: str) -> None:
    column = 1
    try:
        compile_text(template, MARKET).format(VALUES)
    except ExpressionError as error:
        column = error.column
    assert 1 <= column <= len(template) + 1
