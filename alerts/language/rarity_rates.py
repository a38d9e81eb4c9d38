"""How often a condition asks to be true: "a rarity of more than a day" is about once a day."""

from __future__ import annotations

from typing import NamedTuple

from alerts.language.operations import NumberColumn, NumberConstant
from alerts.language.predicates import All, Any, Compare, Predicate

_RARITY = ".rarity"
_ABOVE = (">", ">=")
_BELOW = ("<", "<=")


class Asked(NamedTuple):
    """Once in so many seconds for each instrument, by the rarity of a detector's scores."""

    detector: str
    seconds: float


def asked_rates(predicate: Predicate) -> tuple[Asked, ...]:
    """The rates at which a condition asks to be true at most, which add up; empty where it asks for none.

    Of parts that must all be true the rarest counts; of parts of which any will do all count, and none
    where one of them names no rarity.

    Parameters
    ----------
    predicate
        A compiled condition.

    Examples
    --------
    >>> from alerts.language.condition import compile_condition
    >>> from alerts.language.symbols import Symbol, SymbolTable
    >>> table = SymbolTable.of(Symbol("tape.rarity", "seconds"), Symbol("size", "number"))
    >>> asked_rates(compile_condition("tape.rarity > 1d and size > 5", table).predicate)
    (Asked(detector='tape', seconds=86400.0),)
    >>> asked_rates(compile_condition("tape.rarity > 1d or size > 5", table).predicate)
    ()
    """
    match predicate:
        case Compare(operator=operator, left=NumberColumn(name=name), right=NumberConstant(value=value)):
            return _asked(name, value) if operator in _ABOVE else ()
        case Compare(operator=operator, left=NumberConstant(value=value), right=NumberColumn(name=name)):
            return _asked(name, value) if operator in _BELOW else ()
        case All(parts=parts):
            found = [rates for rates in map(asked_rates, parts) if rates]
            return min(found, key=lambda rates: sum(1 / rate.seconds for rate in rates), default=())
        case Any(parts=parts):
            each = [asked_rates(part) for part in parts]
            return tuple(rate for rates in each for rate in rates) if all(each) else ()
    return ()


def _asked(name: str, seconds: float) -> tuple[Asked, ...]:
    if not name.endswith(_RARITY) or not seconds > 0:
        return ()
    return (Asked(name.removesuffix(_RARITY), float(seconds)),)
