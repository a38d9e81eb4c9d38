"""How often a condition may be true by its rarity thresholds: a rarity above a day is about once a day."""

from __future__ import annotations

from typing import NamedTuple

from alerts.language.operations import NumberColumn, NumberConstant
from alerts.language.predicates import All, Any, Compare, Predicate

_RARITY = ".rarity"
_ABOVE = (">", ">=")
_BELOW = ("<", "<=")


class RarityRate(NamedTuple):
    """Once in so many seconds for each instrument, by a threshold on a detector's rarity."""

    detector: str
    seconds: float


def rarity_rates(predicate: Predicate) -> tuple[RarityRate, ...]:
    """The rates at which a condition may be true at most, which add up; empty if it has no such limit.

    Of an `and` the rarest part counts. Of an `or` all parts count, unless one of them has no limit.

    Parameters
    ----------
    predicate
        A compiled condition.

    Examples
    --------
    >>> from alerts.language.condition import compile_condition
    >>> from alerts.language.symbols import Symbol, SymbolTable
    >>> table = SymbolTable.of(Symbol("tape.rarity", "seconds"), Symbol("size", "number"))
    >>> rarity_rates(compile_condition("tape.rarity > 1d and size > 5", table).predicate)
    (RarityRate(detector='tape', seconds=86400.0),)
    >>> rarity_rates(compile_condition("tape.rarity > 1d or size > 5", table).predicate)
    ()
    """
    match predicate:
        case Compare(operator=operator, left=NumberColumn(name=name), right=NumberConstant(value=value)):
            return _rate(name, value) if operator in _ABOVE else ()
        case Compare(operator=operator, left=NumberConstant(value=value), right=NumberColumn(name=name)):
            return _rate(name, value) if operator in _BELOW else ()
        case All(parts=parts):
            limited = [rates for rates in map(rarity_rates, parts) if rates]
            return min(limited, key=lambda rates: sum(1 / rate.seconds for rate in rates), default=())
        case Any(parts=parts):
            each = [rarity_rates(part) for part in parts]
            return tuple(rate for rates in each for rate in rates) if all(each) else ()
    return ()


def _rate(name: str, seconds: float) -> tuple[RarityRate, ...]:
    if not name.endswith(_RARITY) or not seconds > 0:
        return ()
    return (RarityRate(name.removesuffix(_RARITY), float(seconds)),)
