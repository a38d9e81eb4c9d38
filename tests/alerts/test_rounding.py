"""Numbers in messages are short, keep sign and unit, and keep their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.durations import duration_s
from alerts.rounding import rounded

UNITS = ("", "bps", "%", "s", "/s")
_SUFFIXES = {"M": 1e6, "G": 1e9, "T": 1e12}


def read(text: str, unit: str) -> float:
    """The number that a reader takes from it."""
    sign = -1.0 if text.startswith("-") else 1.0
    bare = text.removeprefix("-")
    if unit == "s" and not bare.endswith(" s"):
        return sign * sum(duration_s(part) for part in bare.split())
    bare = bare.removesuffix(unit).strip().replace(",", "")
    return sign * float(bare.rstrip("MGT")) * _SUFFIXES.get(bare[-1], 1.0)


@pytest.mark.parametrize(
    ("value", "unit", "name", "shown"),
    [
        (1e6, "", "notional", "1.00M"),
        (30.41, "bps", "spread_bps", "30.4 bps"),
        (0.000123456, "", "size", "0.000123"),
        (12.2, "", "size", "12.2"),
        (-5.0, "%", "imbalance", "-5%"),
        (999_999.7, "", "size", "1.00M"),
        (999.96, "", "size", "1,000"),
        (0.987654, "", "tape.score", "0.988"),
        (0.99996, "", "tape.score", "0.99996"),
        (-0.0, "", "size", "0"),
        (67_123.45, "", "price", "67,123.45"),
        (1.08455, "", "bid_price", "1.08455"),
        (0.00001234, "", "ask_price", "0.00001234"),
        (67_123.456789, "", "price_mean_5m", "67,123.46"),
        (8.123456, "", "price_z_1h", "8.12"),
        (125.0, "s", "silence_s", "2m 5s"),
        (None, "bps", "spread_bps", "n/a"),
        ("buy", "", "side", "buy"),
    ],
)
def test_a_value_is_as_people_write_it(value: float | str | None, unit: str, name: str, shown: str) -> None:
    assert rounded(value, unit, name) == shown


NUMBERS = st.floats(-1e300, 1e300)


@given(NUMBERS, st.sampled_from(UNITS), st.sampled_from(["size", "price", "mid_mean_5m"]))
def test_sign_and_unit_are_never_lost_and_it_is_short(value: float, unit: str, name: str) -> None:
    shown = rounded(value, unit, name)
    assert shown.startswith("-") == (value < 0)
    assert len(shown) <= 24
    if unit != "s" or abs(value) >= 1e9:
        assert shown.endswith(unit)
        assert abs(read(shown, unit) - value) <= 0.005 * abs(value) + 1e-300
    else:
        assert abs(read(shown, unit) - value) <= max(0.05 * abs(value), 1.0)


@given(NUMBERS, NUMBERS, st.sampled_from(UNITS), st.sampled_from(["size", "price"]))
def test_a_larger_value_never_reads_as_a_smaller_one(a: float, b: float, unit: str, name: str) -> None:
    small, large = sorted((a, b))
    assert read(rounded(small, unit, name), unit) <= read(rounded(large, unit, name), unit)
