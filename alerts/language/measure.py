"""The measure of a condition: the number that says how far it has gone.

It is the left side of the first comparison that holds, and the comparison's operator says which way is worse:
in ``size > 50 * size_mean_1h and notional > 250k`` it is ``size``, and the highest is the worst. A comparison
under ``not`` counts as its opposite; one with a constant on its left is read from the right. Comparisons of
texts, and lists, have no measure; nor has ``==``, whose two sides are the same while it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.language.check import Checker
from alerts.language.condition import Condition, check_carried_on
from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ExpressionColumns
from alerts.language.operations import NumberColumn, Operation
from alerts.language.parse import parse
from alerts.language.predicates import OPPOSITES, Compare
from alerts.language.quantities import Quantity, alike
from alerts.language.symbols import Symbol, Symbols
from alerts.language.syntax import Comparison, Logic, Negation, Node, Number, Sign, render

UNMEASURED = -1
"""Instead of a measure's position: there is none."""

HIGHEST, LOWEST, FARTHEST = 1, -1, 0

_MOST_BITS = 30  # comparisons beyond so many count as one

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_WORSE = {">": HIGHEST, ">=": HIGHEST, "<": LOWEST, "<=": LOWEST, "!=": FARTHEST}
_WORDS = {"highest": HIGHEST, "lowest": LOWEST}
_WORD = re.compile(r"\s*(highest|lowest)(?=\s)")
_RELATIVE_UNITS = {Fraction(1, 10_000): "bps", Fraction(1, 100): "%"}


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """What an episode is measured by.

    Parameters
    ----------
    name
        The expression, in its normal form.
    unit
        Its unit as people write it: ``bps``, ``%``, ``s``, ``/s``, or nothing for a plain number.
    worse
        `HIGHEST`, `LOWEST`, or `FARTHEST` from the other side of an ``!=``.
    operation
        Computes it.
    factor
        Converts what `operation` computes into `unit`.
    beside
        Computes the other side, where `worse` is `FARTHEST`.
    """

    name: str
    unit: str
    worse: int
    operation: Operation
    factor: float = 1.0
    beside: Operation | None = None

    def evaluate(self, columns: ExpressionColumns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Its value on each row, and how bad that is, where larger is worse; float64[n] both."""
        value = self._column(self.operation, columns)
        if self.beside is not None:
            return value, np.abs(value - self._column(self.beside, columns))
        return value, -value if self.worse == LOWEST else value

    def _column(self, operation: Operation, columns: ExpressionColumns) -> NDArray[np.float64]:
        column = operation.evaluate(columns)
        if self.factor != 1.0:
            column = column * self.factor
        return _own(column if column.shape == (columns.n,) else np.broadcast_to(column, columns.n))


class Measured(NamedTuple):
    """k measures on n rows.

    Parameters
    ----------
    value, badness
        float64[k, n]; of two rows the one of larger badness is the worse.
    which
        int8[n], the measure of an episode that fires on the row, `UNMEASURED` where there is none.
    holding
        int32[n], those comparisons that hold on the row, a bit each, of those that need not where the
        condition does.
    own
        int32[k], the comparisons of each measure among those; 0 where one of them always holds.
    """

    value: NDArray[np.float64]
    badness: NDArray[np.float64]
    which: NDArray[np.int8]
    holding: NDArray[np.int32]
    own: NDArray[np.int32]

    @classmethod
    def nothing(cls, n: int) -> Measured:
        """No measure on any of n rows."""
        none = np.empty((0, n))
        which = np.full(n, UNMEASURED, np.int8)
        return cls(none, none, which, np.zeros(n, np.int32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """The measures that a condition's episodes may have.

    Parameters
    ----------
    measures
        Each once.
    choices
        Which of them an episode has: the position of the first whose comparison holds, or `UNMEASURED`. A
        comparison that always holds where the condition does is None, and the last.
    alternatives
        The comparisons of numbers that need not hold where the condition does, from left to right.

    Examples
    --------
    >>> from alerts.language.condition import compile_condition
    >>> from alerts.language.symbols import SymbolTable
    >>> table = SymbolTable.of(Symbol("size", "number"), Symbol("price", "number"))
    >>> found = measures_of(compile_condition("price < 10 or size > 5", table), table)
    >>> [(measure.name, measure.worse) for measure in found.measures]
    [('price', -1), ('size', 1)]
    >>> columns = ExpressionColumns({"price": np.array([9.0, 11.0]), "size": np.array([6.0, 6.0])}, {}, (), 2)
    >>> measured = found.evaluate(columns)
    >>> measured.which.tolist(), measured.holding.tolist(), measured.own.tolist()
    ([0, 1], [3, 2], [1, 2])
    """

    measures: tuple[Measure, ...] = ()
    choices: tuple[tuple[Compare | None, int], ...] = ()
    alternatives: tuple[Compare, ...] = ()
    _own: NDArray[np.int32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", self._own_bits())

    @property
    def _plain(self) -> str | None:
        measure = self.measures[0]
        if (
            not self.alternatives
            and len(self.choices) == 1
            and self.choices[0][0] is None
            and measure.worse == HIGHEST
        ):
            operation = measure.operation
            return operation.name if isinstance(operation, NumberColumn) and measure.factor == 1.0 else None
        return None

    @property
    def identity(self) -> list[list[str | int]]:
        """What the values that an episode keeps depend on, in JSON types."""
        return [[measure.name, measure.unit, measure.worse] for measure in self.measures]

    def evaluate(self, columns: ExpressionColumns) -> Measured:
        """Values of all measures on all rows.

        Parameters
        ----------
        columns
            n rows; values count only where the condition is true.
        """
        n = columns.n
        if not self.measures:
            return Measured.nothing(n)._replace(holding=self._holding(columns))
        if self._plain is not None:
            column = columns.numbers.get(self._plain)
            if column is not None:  # what most rules compare needs no computing
                row = _own(column).reshape(1, n)
                return Measured(row, row, np.zeros(n, np.int8), np.zeros(n, np.int32), self._own)
        with np.errstate(all="ignore"):
            evaluated = [measure.evaluate(columns) for measure in self.measures]
            which = np.full(n, UNMEASURED, np.int8)
            for comparison, measure in reversed(self.choices):
                if comparison is None:
                    which[:] = measure
                else:
                    which[np.broadcast_to(comparison.yes(columns), n)] = measure
        values, badness = zip(*evaluated, strict=True)
        return Measured(_rows_of(values, n), _rows_of(badness, n), which, self._holding(columns), self._own)

    def _holding(self, columns: ExpressionColumns) -> NDArray[np.int32]:
        holding = np.zeros(columns.n, np.int32)
        with np.errstate(all="ignore"):
            for place, comparison in enumerate(self.alternatives):
                holding[np.broadcast_to(comparison.yes(columns), columns.n)] |= _bit(place)
        return holding

    def _own_bits(self) -> NDArray[np.int32]:
        own, always = np.zeros(len(self.measures), np.int32), set()
        for comparison, measure in self.choices:
            if comparison is None:
                always.add(measure)
            elif measure != UNMEASURED:
                own[measure] |= _bit(self.alternatives.index(comparison))
        own[[measure for measure in always if measure != UNMEASURED]] = 0
        return own


def _bit(place: int) -> int:
    return 1 << min(place, _MOST_BITS)


def _own(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column as kernels were compiled for: read-only ones and views are other types to them."""
    return column if column.flags.c_contiguous and column.flags.writeable else column.copy()


def _rows_of(columns: Sequence[NDArray[np.float64]], n: int) -> NDArray[np.float64]:
    return columns[0].reshape(1, n) if len(columns) == 1 else np.stack(columns)


def measures_of(condition: Condition, symbols: Symbols) -> Measures:
    """The measures of a condition that was compiled with these symbols; none if it compares no numbers."""
    measures: dict[str, Measure] = {}
    choices: list[tuple[Compare | None, int]] = []
    sides = list(_sides(condition.text, symbols))
    for side in sides:
        place = UNMEASURED
        if side.measure is not None:
            place = list(measures).index(side.key) if side.key in measures else len(measures)
            measures.setdefault(side.key, side.measure)
        choices.append((None if side.always else side.comparison, place))
        if side.always:
            break
    if not measures:
        return Measures(alternatives=_alternatives(sides))
    return Measures(tuple(measures.values()), tuple(choices), _alternatives(sides))


def compile_measure(text: str, condition: Condition, symbols: Symbols) -> tuple[Measures, tuple[Symbol, ...]]:
    """Compile a rule's own measure, and what it names.

    Parameters
    ----------
    text
        An expression that is a number, after ``highest`` or ``lowest`` where that must be said: by default
        the comparison of the condition that has it on its left decides, else the highest is the worst.
    condition
        The rule's condition.
    symbols
        What names stand for.

    Raises
    ------
    ExpressionError
        When anything is wrong with it.

    Examples
    --------
    >>> from alerts.language.condition import compile_condition
    >>> from alerts.language.symbols import SymbolTable
    >>> table = SymbolTable.of(Symbol("size", "number"), Symbol("bid_size", "number"))
    >>> condition = compile_condition("size > 5 and bid_size < 3", table)
    >>> measures, named = compile_measure("bid_size", condition, table)
    >>> measures.measures[0].worse == LOWEST, [symbol.name for symbol in named]
    (True, ['bid_size'])
    """
    word = _WORD.match(text)
    expression = text if word is None else " " * word.end() + text[word.end() :]  # places stay right
    node = parse(expression)
    checker = Checker(expression, symbols)
    quantity = checker.quantity(node)
    mentions = checker.mentions
    if not mentions:
        raise ExpressionError("the expression names no field, feature or detector: it never changes")
    check_carried_on(expression, mentions, condition.kinds)
    sides = list(_sides(condition.text, symbols))
    same = [side.measure for side in sides if side.measure is not None and side.measure.name == render(node)]
    unit, factor = (same[0].unit, same[0].factor) if same else _spoken(quantity, None)
    worse = _WORDS[word[1]] if word is not None else same[0].worse if same else HIGHEST
    beside = same[0].beside if same and worse == FARTHEST else None
    measure = Measure(render(node), unit, worse, quantity.operation, factor, beside)
    named = tuple({mention.symbol.name: mention.symbol for mention in mentions}.values())
    return Measures((measure,), ((None, 0),), _alternatives(sides)), named


class _Side(NamedTuple):
    """A comparison of numbers; `always` if it holds wherever the whole condition does."""

    comparison: Compare
    measure: Measure | None
    always: bool

    @property
    def key(self) -> str:
        return "" if self.measure is None else f"{self.measure.worse} {self.measure.unit} {self.measure.name}"


def _sides(text: str, symbols: Symbols) -> Iterator[_Side]:
    checker = Checker(text, symbols)
    for node, holding, always in _comparisons(parse(text), negated=False, always=True):
        parts = checker.sides(node.left, node.right)
        if not all(isinstance(part, Quantity) for part in parts):
            continue
        left, right = parts
        both = alike(left, right)  # type: ignore[arg-type]
        if both is None or (both[0].constant is not None and both[1].constant is not None):
            continue
        own, other, operator = node.left, node.right, holding
        if both[0].constant is not None:
            both, own, other, operator = (both[1], both[0]), other, own, _MIRRORED[holding]
        yield _Side(
            Compare(operator, both[0].operation, both[1].operation),
            _measure(own, other, operator, both),
            always,
        )


def _alternatives(sides: Sequence[_Side]) -> tuple[Compare, ...]:
    return tuple(side.comparison for side in sides if not side.always)


def _measure(node: Node, other: Node, operator: str, both: tuple[Quantity, Quantity]) -> Measure | None:
    if operator not in _WORSE:
        return None
    unit, factor = _spoken(both[0], other)
    beside = both[1].operation if operator == "!=" else None
    return Measure(render(node), unit, _WORSE[operator], both[0].operation, factor, beside)


def _comparisons(node: Node, *, negated: bool, always: bool) -> Iterator[tuple[Comparison, str, bool]]:
    """Comparisons from left to right, with the operator that holds where the condition does."""
    match node:
        case Comparison():
            yield node, OPPOSITES[node.operator] if negated else node.operator, always
        case Negation():
            yield from _comparisons(node.operand, negated=not negated, always=always)
        case Logic():
            every = (node.operator == "and") != negated
            for operand in node.operands:
                yield from _comparisons(operand, negated=negated, always=always and every)


def _spoken(quantity: Quantity, other: Node | None) -> tuple[str, float]:
    """The unit that people write, and the factor that converts the column into it."""
    unit = quantity.unit
    match unit.kind:
        case "seconds":
            return "s", float(unit.scale)
        case "per_second":
            return "/s", float(unit.scale)
        case "relative" | "ratio":
            if unit.scale in _RELATIVE_UNITS:
                return _RELATIVE_UNITS[unit.scale], 1.0
            written = _unit_written(other)
            for scale, name in _RELATIVE_UNITS.items():
                if name == written:
                    return name, float(unit.scale / scale)
    return "", float(unit.scale)


def _unit_written(node: Node | None) -> str:
    while isinstance(node, Sign):
        node = node.operand
    return node.unit if isinstance(node, Number) else ""
