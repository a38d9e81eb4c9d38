"""What is valid in an expression, but can hardly be meant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from alerts.durations import spoken
from alerts.language.check import Checker
from alerts.language.intervals import Interval, Range, range_of
from alerts.language.parse import parse
from alerts.language.predicates import OPPOSITES
from alerts.language.quantities import Quantity, alike
from alerts.language.symbols import Symbols
from alerts.language.syntax import (
    Arithmetic,
    Call,
    Comparison,
    Logic,
    Name,
    Negation,
    Node,
    Number,
    Sign,
    Text,
    render,
)

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_BPS = Fraction(1, 10_000)
_MULTIPLES = {"k": "a thousand", "M": "a million", "G": "a thousand million"}
_LOOKS_LIKE_MS = 10_000
_DAY_S = 86_400


class Doubt(NamedTuple):
    """A place in an expression, as an offset in characters, and what is doubtful there."""

    offset: int
    message: str


class _Bound(NamedTuple):
    """A comparison of an expression, in its normal form, with a constant in its own unit."""

    node: Comparison
    key: str
    operator: str
    value: float

    @property
    def interval(self) -> Interval:
        return Interval.of(self.operator, self.value)


def doubts(text: str, symbols: Symbols) -> list[Doubt]:
    """What can hardly be meant in a condition that was compiled with these symbols.

    Examples
    --------
    >>> from alerts.language.symbols import Symbol, SymbolTable
    >>> table = SymbolTable.of(Symbol("tape.score", "number", low=0.0, high=1.0, source="detector"))
    >>> doubts("tape.score > 5", table)[0].message
    'never true: tape.score is at most 1'
    """
    node = parse(text)
    examined = _Examination(text, symbols)
    return sorted(set(examined.of(node, negated=False)))


def bounds_of(text: str, symbols: Symbols) -> Mapping[str, Interval] | None:
    """The intervals that a condition demands, by expression; None if it is more than an `and` of those."""
    examined = _Examination(text, symbols)
    node = parse(text)
    parts = node.operands if isinstance(node, Logic) and node.operator == "and" else (node,)
    intervals: dict[str, Interval] = {}
    for part in parts:
        bound = examined.bound(part, negated=False)
        if bound is None or bound.operator == "!=":
            return None
        intervals[bound.key] = intervals.get(bound.key, Interval()).also(bound.interval)
    return intervals


class _Examination:
    def __init__(self, text: str, symbols: Symbols) -> None:
        self._text, self._symbols = text, symbols

    def of(self, node: Node, *, negated: bool) -> Iterator[Doubt]:
        match node:
            case Negation():
                yield from self.of(node.operand, negated=not negated)
            case Logic():
                for operand in node.operands:
                    yield from self.of(operand, negated=negated)
                every = (node.operator == "and") != negated
                yield from self._together(node, negated=negated, every=every)
            case Comparison():
                yield from self._comparison(node, OPPOSITES[node.operator] if negated else node.operator)

    def _comparison(self, node: Comparison, operator: str) -> Iterator[Doubt]:
        checker = Checker(self._text, self._symbols)
        left, right = checker.sides(node.left, node.right)
        if render(node.left) == render(node.right):
            always = operator in ("==", "<=", ">=")
            yield Doubt(
                node.span.start,
                f"{'always' if always else 'never'} true: both sides are {self._source(node.left)}",
            )
            return
        if not isinstance(left, Quantity) or not isinstance(right, Quantity):
            return
        if left.constant is not None and right.constant is None:
            own, other, quantity, constant = node.right, node.left, right, left
        else:
            own, other, quantity, constant = node.left, node.right, left, right
        units = list(self._units(own, other, quantity, constant))
        yield from units
        both = alike(left, right)
        if both is None or units:
            return
        ranges: dict[str, Range] = {
            mention.symbol.name: (mention.symbol.low, mention.symbol.high) for mention in checker.mentions
        }
        truth = _truth(operator, range_of(both[0].operation, ranges), range_of(both[1].operation, ranges))
        if truth is not None:
            yield Doubt(node.span.start, self._range_message(truth, own, other, both, ranges))

    def _range_message(
        self,
        truth: bool,
        own: Node,
        other: Node,
        both: tuple[Quantity, Quantity],
        ranges: Mapping[str, Range],
    ) -> str:
        verdict = f"{'always' if truth else 'never'} true"
        quantity, constant = both if both[0].constant is None else both[::-1]
        if constant.constant is None:
            return verdict
        low, high = range_of(quantity.operation, ranges)
        word, end = ("least", low) if float(constant.constant) <= low else ("most", high)
        relative = quantity.unit.kind in ("relative", "ratio")
        symbol = self._symbols.lookup(own.name) if isinstance(own, Name) else None
        why = f" ({symbol.why})" if symbol is not None and symbol.why else ""
        shown = _shown(end, float(quantity.unit.scale), relative)
        message = f"{verdict}: {self._source(own)} is at {word} {shown}{why}"
        number = _literal(other)
        if relative and number is not None and number.unit == "" and abs(number.value) > 1:
            return f"{message}: {self._source(other)} per cent is written {self._source(other)}%"
        return message

    def _source(self, node: Node) -> str:
        return " ".join(self._text[node.span.start : node.span.end].split())

    def _units(self, own: Node, other: Node, quantity: Quantity, constant: Quantity) -> Iterator[Doubt]:
        """Numbers whose units are probably others."""
        for side in (own, other):
            yield from self._parts_of_parts(side)
        number = _literal(other)
        if constant.constant is None:
            return
        at, written = other.span.start, self._source(other)
        kind = quantity.unit.kind
        is_rarity = isinstance(own, Name) and own.name.endswith(".rarity")
        if number is None:
            if kind == "seconds" and _has_no_unit(other):
                product = constant.constant * quantity.unit.scale
                yield from self._product(at, written, product, is_rarity)
            return
        if kind == "seconds":
            seconds = float(abs(constant.constant * quantity.unit.scale))
            yield from self._seconds(at, number, written, seconds, is_rarity)
        elif kind == "relative" and quantity.unit.scale == _BPS and _is_plain(own):
            share = abs(constant.constant) * (_BPS if constant.unit.kind == "any" else constant.unit.scale)
            if share > 1:
                bps = float(share / _BPS)
                yield Doubt(at, f"{written} is {bps:,.0f} bps, more than 100%: 1% is 100bps")

    def _seconds(
        self, at: int, number: Number, written: str, seconds: float, is_rarity: bool
    ) -> Iterator[Doubt]:
        digits = written.removesuffix(number.unit)
        is_long = number.unit != "k" or seconds >= _LOOKS_LIKE_MS
        if number.unit in _MULTIPLES and (is_rarity or is_long):
            amount = _MULTIPLES[number.unit] if number.value == 1 else f"{seconds:,.0f}"
            yield Doubt(at, f"{written} is {amount} seconds, {spoken(seconds)}: a minute is 1m")
        elif number.unit == "" and number.value != 0 and is_rarity:
            yield Doubt(
                at,
                f"a rarity of {digits} is one of {digits} seconds: write its unit, such as "
                f"{digits}m, {digits}h or {digits}d",
            )
        elif number.unit == "" and _like_ms(number.value):
            in_s = f"{float(number.value) / 1000:g}s"
            yield Doubt(at, f"{written} is in seconds, {spoken(seconds)}: {written} ms are {in_s}")

    def _product(self, at: int, written: str, seconds: Fraction, is_rarity: bool) -> Iterator[Doubt]:
        """A time that is computed from numbers without a unit."""
        amount = float(seconds)
        if is_rarity and seconds > 0:
            message = f"a rarity of {written} is one of {amount:,g} seconds, {spoken(amount)}: write its unit"
            yield Doubt(at, f"{message}, such as 30m")
        elif _like_ms(seconds):
            message = f"{written} is in seconds, {spoken(amount)}"
            yield Doubt(at, f"{message}: as many ms are {amount / 1000:g}s")

    def _parts_of_parts(self, node: Node) -> Iterator[Doubt]:
        """Basis points of basis points, such as `25bps * spread_bps`."""
        match node:
            case Arithmetic(operator="*"):
                for share, of in ((node.left, node.right), (node.right, node.left)):
                    number = _literal(share)
                    if number is not None and number.unit == "bps" and self._is_in_bps(of):
                        percent = float(number.value) / 100
                        yield Doubt(
                            share.span.start,
                            f"{self._source(share)} of {self._source(of)} is {percent:g}% of it: "
                            f"write {self._source(share)} alone, or a percentage",
                        )
                yield from self._parts_of_parts(node.left)
                yield from self._parts_of_parts(node.right)
            case Arithmetic():
                yield from self._parts_of_parts(node.left)
                yield from self._parts_of_parts(node.right)
            case Sign():
                yield from self._parts_of_parts(node.operand)
            case Call():
                for argument in node.arguments:
                    yield from self._parts_of_parts(argument)

    def _is_in_bps(self, node: Node) -> bool:
        while isinstance(node, Call) and node.function == "abs":
            node = node.arguments[0]
        symbol = self._symbols.lookup(node.name) if isinstance(node, Name) else None
        return symbol is not None and symbol.type == "relative" and symbol.scale == float(_BPS)

    def _together(self, node: Logic, *, negated: bool, every: bool) -> Iterator[Doubt]:
        """Parts of an `and` that exclude each other, and of an `or` of which one always holds."""
        bounds: dict[str, list[_Bound]] = {}
        texts: dict[str, list[tuple[Comparison, str, str]]] = {}
        for part in node.operands:
            bound = self.bound(part, negated=negated)
            if bound is not None:
                bounds.setdefault(bound.key, []).append(bound)
            text = self._text_test(part, negated=negated)
            if text is not None:
                texts.setdefault(render(text[0].left), []).append(text)
        for same in bounds.values():
            yield from _excluding(same, self._source) if every else _covering(same, self._source)
        for tests in texts.values():
            operator = "==" if every else "!="
            different = {value for _, of, value in tests if of == operator}
            if len(different) > 1:
                name = render(tests[0][0].left)
                first, second = sorted(different)[:2]
                yield Doubt(
                    tests[0][0].span.start,
                    f"never true: {name} cannot be both {first} and {second} (or was meant)"
                    if every
                    else f"always true: {name} is never both {first} and {second} (and was meant)",
                )

    def bound(self, node: Node, *, negated: bool) -> _Bound | None:
        """A comparison with a constant, None for anything else."""
        if isinstance(node, Negation):
            return self.bound(node.operand, negated=not negated)
        if not isinstance(node, Comparison):
            return None
        left, right = Checker(self._text, self._symbols).sides(node.left, node.right)
        if not isinstance(left, Quantity) or not isinstance(right, Quantity):
            return None
        both = alike(left, right)
        operator = OPPOSITES[node.operator] if negated else node.operator
        if both is None or (both[0].constant is None) == (both[1].constant is None):
            return None
        if both[1].constant is not None:
            return _Bound(node, render(node.left), operator, float(both[1].constant))
        return _Bound(node, render(node.right), _MIRRORED[operator], float(both[0].constant or 0))

    def _text_test(self, node: Node, *, negated: bool) -> tuple[Comparison, str, str] | None:
        if isinstance(node, Negation):
            return self._text_test(node.operand, negated=not negated)
        if not isinstance(node, Comparison) or node.operator not in ("==", "!="):
            return None
        value = node.right
        if not isinstance(node.left, Name) or not isinstance(value, Name | Text):
            return None
        symbol = self._symbols.lookup(node.left.name)
        if symbol is None or symbol.type not in ("string", "enum"):
            return None
        if isinstance(value, Name) and value.name not in symbol.members:
            return None
        word = value.value if isinstance(value, Text) else value.name
        return node, OPPOSITES[node.operator] if negated else node.operator, word


def _excluding(bounds: Sequence[_Bound], source: Callable[[Node], str]) -> Iterator[Doubt]:
    held = Interval()
    for number, bound in enumerate(bounds):
        before, held = held, held.also(bound.interval)
        if held.is_empty and not before.is_empty:
            other = next(
                (each for each in bounds[:number] if each.interval.also(bound.interval).is_empty), bounds[0]
            )
            both = f"{source(other.node)} and {source(bound.node)}"
            yield Doubt(bound.node.span.start, f"never true: {both} exclude each other")


def _covering(bounds: Sequence[_Bound], source: Callable[[Node], str]) -> Iterator[Doubt]:
    one_sided = [bound for bound in bounds if bound.operator not in ("==", "!=")]
    for number, bound in enumerate(one_sided):
        outside = Interval.of(OPPOSITES[bound.operator], bound.value)
        for other in one_sided[:number]:
            if outside.also(Interval.of(OPPOSITES[other.operator], other.value)).is_empty:
                either = f"{source(other.node)} or {source(bound.node)}"
                yield Doubt(bound.node.span.start, f"always true: {either} leaves nothing out")


def _truth(operator: str, left: Range, right: Range) -> bool | None:
    """Whether a comparison always or never holds; None where it may, or where only its border decides."""
    (a, b), (c, d) = left, right
    if operator in ("<", "<="):
        return _truth({"<": ">", "<=": ">="}[operator], right, left)
    if operator in (">", ">="):
        if b < c or (b == c and operator == ">" and math.isfinite(b)):
            return False
        return True if a > d else None
    if b < c or a > d:
        return operator == "!="
    return None


def _literal(node: Node) -> Number | None:
    while isinstance(node, Sign):
        node = node.operand
    return node if isinstance(node, Number) else None


def _is_plain(node: Node) -> bool:
    """Whether it is a name, or the absolute value of one."""
    if isinstance(node, Sign):
        return _is_plain(node.operand)
    if isinstance(node, Call):
        return node.function == "abs" and _is_plain(node.arguments[0])
    return isinstance(node, Name)


def _like_ms(value: Fraction) -> bool:
    if value < _LOOKS_LIKE_MS or value % 1000:
        return False
    is_days = value % _DAY_S == 0 and value < 1000 * _DAY_S
    is_hours = value % 3600 == 0 and value < 30 * _DAY_S // 2
    return not (is_days or is_hours)


def _has_no_unit(node: Node) -> bool:
    """Whether it is arithmetic of plain numbers."""
    match node:
        case Number():
            return node.unit == ""
        case Sign():
            return _has_no_unit(node.operand)
        case Arithmetic():
            return _has_no_unit(node.left) and _has_no_unit(node.right)
    return False


def _shown(value: float, scale: float, relative: bool) -> str:
    return f"{value * scale * 100:g}%" if relative else f"{value:g}"
