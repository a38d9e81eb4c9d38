"""Silences: which alerts are not sent for a while, and who said so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

MATCHED_FIELDS: Final = ("rule", "severity", "venue", "symbol", "origin", "transition", "detector")
"""Fields of an alert's body that a matcher may name."""

_EQUAL: Final = "="


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a silence: a field of the alert has exactly this value.

    Parameters
    ----------
    field
        One of `MATCHED_FIELDS`.
    value
        What it must be.

    Raises
    ------
    ValueError
        When alerts have no such field.

    Examples
    --------
    >>> Matcher("rule", "fat_finger").matches({"rule": "fat_finger", "symbol": "ACME"})
    True
    """

    field: str
    value: str

    def __post_init__(self) -> None:
        if self.field not in MATCHED_FIELDS:
            raise ValueError(f"alerts have no field {self.field!r} to match")

    def matches(self, body: Mapping[str, Any]) -> bool:
        """True when the alert with this body has the value."""
        return body.get(self.field) == self.value


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match all matchers are not sent between two times.

    Parameters
    ----------
    matchers
        At least one; all must match.
    author
        Login name of the person who added it.
    reason
        Why, in that person's words; may be empty.
    starts_at, ends_at
        Wall-clock seconds since 1970 UTC; the end is not included.

    Raises
    ------
    ValueError
        Without a matcher: nobody silences everything by accident.

    Examples
    --------
    >>> silence = Silence((Matcher("rule", "fat_finger"),), "ann", "maintenance", 100.0, 160.0)
    >>> silence.silences({"rule": "fat_finger"}, 159.0), silence.silences({"rule": "fat_finger"}, 160.0)
    (True, False)
    """

    matchers: tuple[Matcher, ...]
    author: str
    reason: str
    starts_at: float
    ends_at: float

    def __post_init__(self) -> None:
        if not self.matchers:
            raise ValueError("a silence needs a matcher")

    def silences(self, body: Mapping[str, Any], now: float) -> bool:
        """True when the alert with this body is silenced at this time."""
        return self.starts_at <= now < self.ends_at and all(each.matches(body) for each in self.matchers)

    @property
    def rule(self) -> str | None:
        """The rule that it mutes, None where it has other matchers as well."""
        (first, *others) = self.matchers
        return first.value if first.field == "rule" and not others else None


def rule_matchers(rule: str) -> tuple[Matcher, ...]:
    """The matchers that mute one rule."""
    return (Matcher("rule", rule),)


def instrument_matchers(
    rule: str | None = None, venue: str | None = None, symbol: str | None = None
) -> tuple[Matcher, ...]:
    """The matchers that mute a rule, an instrument or a venue, or a rule there; None means any.

    Examples
    --------
    >>> [each.field for each in instrument_matchers("fat_finger", symbol="ACME")]
    ['rule', 'symbol']
    """
    named = {"rule": rule, "venue": venue, "symbol": symbol}
    return tuple(Matcher(field, value) for field, value in named.items() if value is not None)


def matchers_text(matchers: Iterable[Matcher]) -> str:
    """What matchers select, as people read it.

    Examples
    --------
    >>> matchers_text(rule_matchers("fat_finger"))
    'fat_finger'
    >>> matchers_text(instrument_matchers("fat_finger", "XNAS", "ACME"))
    'fat_finger on XNAS ACME'
    >>> matchers_text(instrument_matchers(venue="XNAS")), matchers_text([Matcher("severity", "info")])
    ('everything at XNAS', 'everything of severity info')
    """
    values = {each.field: each.value for each in matchers}
    text = values.pop("rule", "everything")
    venue, symbol = values.pop("venue", None), values.pop("symbol", None)
    if symbol is not None:
        text += f" on {symbol if venue is None else f'{venue} {symbol}'}"
    elif venue is not None:
        text += f" at {venue}"
    return text + "".join(f" of {field} {value}" for field, value in values.items())


def matchers_to_json(matchers: Iterable[Matcher]) -> str:
    """Matchers as they are stored; the same text for the same matchers.

    Examples
    --------
    >>> matchers_to_json(rule_matchers("fat_finger"))
    '[{"field":"rule","op":"=","value":"fat_finger"}]'
    """
    rows = [{"field": each.field, "op": _EQUAL, "value": each.value} for each in matchers]
    return json.dumps(rows, separators=(",", ":"))


def matchers_from_json(text: str) -> tuple[Matcher, ...]:
    """Matchers from their stored form.

    Raises
    ------
    ValueError
        When it is not such a text. A comparison that this version does not know must not be read as
        another one, which would silence the wrong alerts.

    Examples
    --------
    >>> matchers_from_json('[{"field":"rule","op":"=","value":"fat_finger"}]')
    (Matcher(field='rule', value='fat_finger'),)
    """
    rows = json.loads(text)
    try:
        unknown = [row["op"] for row in rows if row["op"] != _EQUAL]
        matchers = tuple(Matcher(row["field"], row["value"]) for row in rows)
    except (KeyError, TypeError) as error:
        raise ValueError("a silence's matchers are not a list of field, op and value") from error
    if unknown:
        raise ValueError(f"a silence compares with {unknown[0]!r}, which this version does not know")
    return matchers


def until_text(until: float) -> str:
    """A time of a silence as people read it.

    Examples
    --------
    >>> until_text(1_767_623_400.0)
    '2026-01-05T14:30:00Z'
    """
    return datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
