"""Compiled rules: conditions, the kinds they are evaluated on, and severities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.for_clause import Hold, flap_ns, parse_hold, rule_duration_ns
from alerts.language.condition import Condition, compile_condition
from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ExpressionColumns
from alerts.language.measure import Measures, compile_measure, measures_of
from alerts.language.symbols import KIND_NAMES, Symbol, Symbols
from alerts.rounding import rounded
from alerts.rule_settings import RuleSettings
from alerts.severity import SEVERITIES
from alerts.text_template import TextTemplate, compile_text
from alerts.update_clause import Updates, parse_updates

RULES_VERSION = 1
"""Raised whenever the same rule could give other transitions than before."""

_VERSION_HEX_DIGITS = 16  # 64 bits: collisions are negligible


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule, compiled.

    Parameters
    ----------
    name
        Its name.
    version
        A hash of everything that determines its alerts; not of its text or spelling, nor of how often an open
        alert is told or what it is measured by.
    condition
        The condition of `when`.
    escalations
        Codes of higher severities, ascending, each with the condition under which the alert has it.
    kinds
        The kinds of events it is evaluated on.
    hold
        How often or how long the condition must be true before it fires.
    clear_ns
        How long the condition must not have been true before it resolves (ns).
    flap_ns
        An episode whose `hold` completes again within this time of its resolve goes on (ns); 0 for never.
    severity
        Code of its severity, its position in `SEVERITIES`.
    updates
        When an open episode is told again.
    measures
        What an episode may be measured by.
    text
        The template of its alerts' text; None for the condition with its values.
    symbols
        Everything that the condition, the escalations, the rule's own measure and the text name, each once.
    settings
        The settings it was compiled from.
    """

    name: str
    version: str
    condition: Condition
    escalations: tuple[tuple[int, Condition], ...]
    kinds: frozenset[int]
    hold: Hold
    clear_ns: int
    flap_ns: int
    severity: int
    updates: Updates
    measures: Measures
    text: TextTemplate | None
    symbols: tuple[Symbol, ...]
    settings: RuleSettings

    @property
    def names(self) -> tuple[str, ...]:
        """The names of `symbols`."""
        return tuple(symbol.name for symbol in self.symbols)

    @property
    def when(self) -> str:
        """The condition as it was written."""
        return self.condition.text

    @property
    def summary(self) -> dict[str, Any]:
        """Its settings as alerts report them, in JSON types."""
        settings = self.settings.document(exclude={"disabled", "why", "references"})
        return {**settings, "on": [KIND_NAMES[kind] for kind in sorted(self.kinds)]}

    def holds(self, columns: ExpressionColumns, evaluated: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The evaluated rows on which the condition is true, bool[n]."""
        return self.condition.evaluate(columns) & evaluated if evaluated.any() else evaluated

    def severities(self, columns: ExpressionColumns) -> NDArray[np.int8]:
        """The severity that the rule has on each row on which it is true, int8[n]."""
        severity = np.full(columns.n, self.severity, np.int8)
        for code, condition in self.escalations:
            severity[condition.evaluate(columns)] = code
        return severity

    def render(self, values: Mapping[str, float | str | None]) -> str:
        """The text of an alert with these values."""
        return self.condition.explain(values, _for_people) if self.text is None else self.text.format(values)


def _for_people(value: float | str | None, name: str) -> str:
    return rounded(value, name=name)


def rows_of(kinds: frozenset[int], kind: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which of n rows are of the given kinds, bool[n].

    Examples
    --------
    >>> rows_of(frozenset({1, 6}), np.array([0, 1, 6], np.int8))
    array([False,  True,  True])
    """
    return _kind_mask(kinds).take(kind)


@cache
def _kind_mask(kinds: frozenset[int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(KIND_NAMES), np.bool_)
    mask[sorted(kinds)] = True
    return mask


def compile_rule(name: str, settings: RuleSettings, symbols: Symbols) -> Rule:
    """Compile a rule.

    Parameters
    ----------
    name
        Its name.
    settings
        Its settings.
    symbols
        The known names.

    Raises
    ------
    ExpressionError
        When anything is wrong in an expression or the text; `path` says in which of them.

    Examples
    --------
    >>> from alerts.language.symbols import SymbolTable
    >>> table = SymbolTable.of(Symbol("size", "number", kinds=frozenset({0})))
    >>> rule = compile_rule("big", RuleSettings(when="size > 100"), table)
    >>> columns = ExpressionColumns({"size": np.array([500.0, 500.0])}, {}, (), 2)
    >>> evaluated = rows_of(rule.kinds, np.array([0, 2], np.int8))
    >>> rule.holds(columns, evaluated).tolist(), rule.render({"size": 500.0})
    ([True, False], 'size (500) > 100')
    """
    on = None if settings.on is None else frozenset(KIND_NAMES.index(kind) for kind in settings.on)
    condition = _condition(settings.when, symbols, on, "when")
    escalations = tuple(
        (code, _condition(settings.escalate[severity], symbols, condition.kinds, "escalate", severity))
        for code, severity in enumerate(SEVERITIES)
        if severity in settings.escalate
    )
    measures, measured = _measures(settings.measure, condition, symbols)
    text = _text(settings.text, symbols)
    named = [condition.symbols, *(escalation.symbols for _, escalation in escalations), measured]
    if text is not None:
        named.append(text.symbols)
    hold, clear_ns, may_flap_ns = (
        parse_hold(settings.for_),
        rule_duration_ns(settings.clear),
        flap_ns(settings.flap),
    )
    severity = SEVERITIES.index(settings.severity)
    return Rule(
        name=name,
        version=_version(condition, escalations, hold, (clear_ns, may_flap_ns), severity),
        condition=condition,
        escalations=escalations,
        kinds=condition.kinds,
        hold=hold,
        clear_ns=clear_ns,
        flap_ns=may_flap_ns,
        severity=severity,
        updates=parse_updates(settings.updates),
        measures=measures,
        text=text,
        symbols=tuple({symbol.name: symbol for group in named for symbol in group}.values()),
        settings=settings,
    )


def _condition(text: str, symbols: Symbols, on: frozenset[int] | None, *path: str) -> Condition:
    try:
        return compile_condition(text, symbols, on)
    except ExpressionError as error:
        raise error.within(*path) from None


def _text(template: str | None, symbols: Symbols) -> TextTemplate | None:
    try:
        return None if template is None else compile_text(template, symbols)
    except ExpressionError as error:
        raise error.within("text") from None


def _measures(own: str | None, condition: Condition, symbols: Symbols) -> tuple[Measures, tuple[Symbol, ...]]:
    if own is None:
        return measures_of(condition, symbols), ()
    try:
        return compile_measure(own, condition, symbols)
    except ExpressionError as error:
        raise error.within("measure") from None


def _version(
    condition: Condition,
    escalations: tuple[tuple[int, Condition], ...],
    hold: Hold,
    times_ns: tuple[int, int],
    severity: int,
) -> str:
    clear_ns, flap_ns = times_ns
    identity: list[Any] = [
        RULES_VERSION,
        _identity(condition),
        [[code, _identity(escalation)] for code, escalation in escalations],
        sorted(condition.kinds),
        [hold.m, hold.n, hold.duration_ns],
        clear_ns,
        severity,
    ]
    if flap_ns:  # versions of rules without it stay what they were
        identity.append(["flap", flap_ns])
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_VERSION_HEX_DIGITS]


def _identity(condition: Condition) -> list[Any]:
    symbols = [[s.name, s.type, s.scale, s.members, s.ordered] for s in condition.symbols]
    return [condition.normal, symbols]
