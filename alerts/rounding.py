"""Numbers as people read them: few digits, thousands apart, a unit."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from alerts.durations import lasting

_SUFFIXES = ((12, "T"), (9, "G"), (6, "M"))
_LARGEST = 1e15  # from here on, and below the smallest, an exponent is shorter
_SMALLEST = 1e-6
_NEARLY_ONE = 0.999
_SHARE_DIGITS = 9
_PRICE_DIGITS = 10  # of a price as it was traded or quoted
_DERIVED_DIGITS = 7  # of a mean of prices, whose further digits nobody quotes
_SMALLEST_PRICE = 1e-12
_MINUTE_S = 60.0
_DECADES_S = 1e9  # longer than anything lasts: a value that is none, to be seen as such
_PRICE = re.compile(r"(?:[a-z0-9]+_)*price|mid|vwap")
_DERIVED_PRICE = re.compile(
    r"(?:(?:[a-z0-9]+_)*price|mid|vwap)(?:_(?:mean|min|max|median|ewm|ema))?_[0-9]+[smhd]"
)


def rounded(value: float | str | None, unit: str = "", name: str = "") -> str:
    """A value with three significant digits, and its unit.

    From a thousand on all digits before the point are shown, from a million on a suffix. Prices keep the
    digits they need. Seconds from a minute on are written as a duration.

    Parameters
    ----------
    value
        A number; a text is returned as it is, and a missing value is ``n/a``.
    unit
        As people write it: ``bps``, ``s``, ``%``, empty for none.
    name
        What it is, by which prices are known.

    Examples
    --------
    >>> rounded(1_000_000.0), rounded(30.41, "bps"), rounded(0.000123456), rounded(12.2), rounded(-5.0, "%")
    ('1.00M', '30.4 bps', '0.000123', '12.2', '-5%')
    >>> rounded(67123.456789, name="price_mean_5m"), rounded(1.08455, name="bid_price"), rounded(67123.4)
    ('67,123.46', '1.08455', '67,123')
    >>> rounded(35.25, "s"), rounded(492.3, "s"), rounded(None)
    ('35.2 s', '8m 12s', 'n/a')
    """
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return "n/a"
    sign, size = ("-" if value < 0 else ""), abs(value)
    if unit == "s" and _MINUTE_S <= round(size) < _DECADES_S:
        return sign + lasting(round(size))
    digits = _PRICE_DIGITS if _PRICE.fullmatch(name) else _DERIVED_DIGITS
    is_price = not unit and (digits == _PRICE_DIGITS or _DERIVED_PRICE.fullmatch(name) is not None)
    number = _price(size, digits) if is_price else _few_digits(size)
    space = "" if not unit or unit[0] in "%/" else " "
    return f"{sign if number != '0' else ''}{number}{space}{unit}"


def _few_digits(size: float) -> str:
    if size == 0.0:
        return "0"
    if _NEARLY_ONE <= size < 1.0:  # a score or a share: what is left to 1 matters
        left = f"{1.0 - size:.1e}"
        return _trimmed(f"{size:.{min(1 - int(left.partition('e')[2]), _SHARE_DIGITS)}f}")
    mantissa, _, written = f"{size:.2e}".partition("e")  # rounded first: 999.6 is a thousand
    exponent = int(written)
    if size >= _LARGEST or size < _SMALLEST:
        return f"{_trimmed(mantissa)}e{exponent}"
    if exponent < 3:
        return _trimmed(f"{size:.{2 - exponent}f}")
    whole = f"{size:,.0f}"
    if len(whole) <= len("999,999"):
        return whole
    exponent = max(exponent, 6)
    power, suffix = next(entry for entry in _SUFFIXES if exponent >= entry[0])
    return f"{size / 10**power:.{max(2 - exponent + power, 0)}f}{suffix}"


def _price(size: float, digits: int) -> str:
    if not _SMALLEST_PRICE <= size < _LARGEST:
        return _few_digits(size)
    return _trimmed(f"{Decimal(f'{size:.{digits - 1}e}'):,f}")


def _trimmed(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
