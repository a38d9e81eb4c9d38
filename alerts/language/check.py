"""Check an expression's names and units, and compile it into a condition."""

from __future__ import annotations

from functools import reduce

from alerts.language.errors import ExpressionError, error_at
from alerts.language.operations import NumberColumn, NumberConstant, Operation, Rank
from alerts.language.other_spellings import unit_meant
from alerts.language.predicates import All, Any, Compare, Not, Predicate, SameText, TextColumn, TextConstant
from alerts.language.quantities import (
    Quantity,
    QuantityError,
    absolute,
    added,
    alike,
    constant,
    extreme,
    logarithm_of,
    multiplied,
    negative,
)
from alerts.language.symbols import Symbol, Symbols
from alerts.language.syntax import (
    Arithmetic,
    Call,
    Comparison,
    Logic,
    Membership,
    Name,
    Negation,
    Node,
    Number,
    Sign,
    Text,
)
from alerts.language.typed_parts import ConditionPart, Mention, TextPart, TypedPart
from alerts.language.units import LITERALS, unit_of
from alerts.suggestions import closest

FUNCTIONS = {"abs": (1, 1), "log": (1, 1), "min": (2, 20), "max": (2, 20)}
"""Functions with their minimum and maximum numbers of arguments."""

_STATISTICS = frozenset(
    [
        "mean",
        "avg",
        "average",
        "median",
        "std",
        "stdev",
        "stddev",
        "sd",
        "var",
        "variance",
        "zscore",
        "z",
        "percentile",
        "quantile",
        "sum",
        "count",
    ]
)
"""Functions of other languages whose results are names here."""

_VERBS = {"+": ("add", "and"), "-": ("subtract", "and"), "*": ("multiply", "by"), "/": ("divide", "by")}


class Checker:
    """Checks and compiles the parts of one expression.

    Parameters
    ----------
    text
        The expression as it was written.
    symbols
        What names stand for.
    """

    def __init__(self, text: str, symbols: Symbols) -> None:
        self._text = text
        self._symbols = symbols
        self._mentions: list[Mention] = []

    @property
    def mentions(self) -> tuple[Mention, ...]:
        """The symbols named so far, in the order of the text."""
        return tuple(sorted(self._mentions, key=lambda mention: mention.span.start))

    def condition(self, node: Node) -> Predicate:
        """Compile a part that must be a condition.

        Raises
        ------
        ExpressionError
            When it is not a condition, or anything in it is wrong.
        """
        part = self._typed(node)
        if not isinstance(part, ConditionPart):
            raise self._error(
                node, f"{self._describe(node, part)} is not a condition: compare it with something"
            )
        return part.predicate

    def quantity(self, node: Node) -> Quantity:
        """Compile a part that must be a number.

        Raises
        ------
        ExpressionError
            When it is not a number, or anything in it is wrong.
        """
        part = self._typed(node)
        if not isinstance(part, Quantity):
            raise self._error(node, f"{self._describe(node, part)} is not a number")
        return part

    def sides(self, left: Node, right: Node) -> tuple[TypedPart, TypedPart]:
        """Both sides of a comparison; a bare word or a text compared with an enum is one of its members.

        Raises
        ------
        ExpressionError
            When anything in them is wrong.
        """
        left_enum, right_enum = self._enum(left), self._enum(right)
        if left_enum is not None and right_enum is None and isinstance(right, Name | Text):
            return self._typed(left), self._member(right, left_enum)
        if right_enum is not None and left_enum is None and isinstance(left, Name | Text):
            return self._member(left, right_enum), self._typed(right)
        if self._type(left) == "string" and isinstance(right, Name) and self._type(right) is None:
            raise self._unquoted(right)
        return self._typed(left), self._typed(right)

    def _typed(self, node: Node) -> TypedPart:
        match node:
            case Number():
                return self._number(node)
            case Text():
                return TextPart(TextConstant(node.value))
            case Name():
                return self._symbol(node)
            case Comparison():
                return ConditionPart(self._comparison(node, node.operator, node.left, node.right))
            case Membership():
                return ConditionPart(self._membership(node))
            case Logic():
                parts = tuple(self.condition(operand) for operand in node.operands)
                return ConditionPart(All(parts) if node.operator == "and" else Any(parts))
            case Negation():
                return ConditionPart(Not(self.condition(node.operand)))
            case Sign() | Arithmetic() | Call():
                return self._computed(node)

    def _computed(self, node: Sign | Arithmetic | Call) -> Quantity:
        try:
            match node:
                case Sign():
                    operand = self.quantity(node.operand)
                    return operand if node.operator == "+" else negative(operand)
                case Arithmetic():
                    return self._arithmetic(node)
                case Call():
                    return self._call(node)
        except QuantityError as error:
            raise self._error(node, f"'{self._source(node)}' {error}") from None

    def _number(self, node: Number) -> Quantity:
        if node.unit not in LITERALS:
            source = self._source(node)
            meant = unit_meant(source.removesuffix(node.unit), node.unit)
            hint = (
                f" (did you mean '{meant}'?)"
                if meant
                else f" (there are {', '.join(filter(None, LITERALS))})"
            )
            raise self._error(node, f"unknown unit '{node.unit}' in '{source}'{hint}", meant)
        unit, factor = LITERALS[node.unit]
        return constant(node.value * factor, unit)

    def _symbol(self, node: Name) -> Quantity | TextPart:
        symbol = self._lookup(node)
        self._mentions.append(Mention(symbol, node.span))
        unit = unit_of(symbol)
        if unit is None:
            return TextPart(TextColumn(symbol.name), symbol)
        return Quantity(NumberColumn(symbol.name), unit)

    def _lookup(self, node: Name) -> Symbol:
        name = node.name
        symbol = self._symbols.lookup(name)
        if symbol is not None:
            return symbol
        explained = self._symbols.explain(name)
        near = closest(name, self._symbols.names())
        if explained is not None:
            raise self._error(node, explained, near)
        hint = f" (did you mean '{near}'?)" if near else ""
        raise self._error(node, f"unknown name '{name}'{hint}", near)

    def _arithmetic(self, node: Arithmetic) -> Quantity:
        left, right = self.quantity(node.left), self.quantity(node.right)
        compute = added if node.operator in "+-" else multiplied
        result = compute(node.operator, left, right)
        if result is None:
            verb, joint = _VERBS[node.operator]
            raise self._mismatch(node, verb, joint, (node.left, left), (node.right, right))
        return result

    def _call(self, node: Call) -> Quantity:
        if node.function not in FUNCTIONS:
            near = closest(node.function, FUNCTIONS)
            hint = f" (did you mean '{near}'?)" if near else f" (there are {', '.join(FUNCTIONS)})"
            if node.function.lower() in _STATISTICS and not near:
                hint = (
                    " (a statistic is part of a name, with its horizon: size_mean_1h, size_sd_1h, size_z_1h)"
                )
            raise self._error(node, f"unknown function '{node.function}'{hint}", near)
        fewest, most = FUNCTIONS[node.function]
        if not fewest <= len(node.arguments) <= most:
            count = "1 argument" if most == 1 else f"{fewest} to {most} arguments"
            raise self._error(node, f"{node.function} takes {count}, not {len(node.arguments)}")
        arguments = [(argument, self.quantity(argument)) for argument in node.arguments]
        if node.function == "abs":
            return absolute(arguments[0][1])
        if node.function == "log":
            return logarithm_of(arguments[0][1])
        return reduce(lambda a, b: self._extreme(node, a, b), arguments)[1]

    def _extreme(
        self, node: Call, left: tuple[Node, Quantity], right: tuple[Node, Quantity]
    ) -> tuple[Node, Quantity]:
        result = extreme(node.function, left[1], right[1])
        if result is None:
            raise self._mismatch(right[0], "compare", "with", left, right)
        return left[0], result

    def _membership(self, node: Membership) -> Predicate:
        tests: list[Predicate] = []
        mentioned = len(self._mentions)
        for item in node.items:
            del self._mentions[mentioned:]  # the left side is checked again for every item
            tests.append(self._comparison(node, "==", node.left, item))
            if any(mention.span.start >= item.span.start for mention in self._mentions[mentioned:]):
                raise self._error(item, f"'{self._source(item)}' varies: a list holds only numbers and texts")
        membership = Any(tuple(tests))
        return Not(membership) if node.negated else membership

    def _comparison(self, node: Node, operator: str, left: Node, right: Node) -> Predicate:
        a, b = self.sides(left, right)
        if isinstance(a, Quantity) and isinstance(b, Quantity):
            both = alike(a, b)
            if both is not None:
                return Compare(operator, both[0].operation, both[1].operation)
        elif isinstance(a, TextPart) and isinstance(b, TextPart):
            if operator in ("==", "!="):
                return SameText(a.operand, b.operand, operator == "!=")
            return Compare(operator, *self._ranks(node, a, b))
        elif isinstance(a, ConditionPart) or isinstance(b, ConditionPart):
            side, part = (left, a) if isinstance(a, ConditionPart) else (right, b)
            raise self._error(side, f"{self._describe(side, part)} cannot be compared; use and, or, not")
        raise self._mismatch(node, "compare", "with", (left, a), (right, b))

    def _enum(self, node: Node) -> Symbol | None:
        symbol = self._symbols.lookup(node.name) if isinstance(node, Name) else None
        return symbol if symbol is not None and symbol.type == "enum" else None

    def _type(self, node: Node) -> str | None:
        symbol = self._symbols.lookup(node.name) if isinstance(node, Name) else None
        return symbol.type if symbol is not None else None

    def _unquoted(self, node: Name) -> ExpressionError:
        message = f"unknown name '{node.name}' (a text is written in quotes: \"{node.name}\")"
        return self._error(node, message, f'"{node.name}"')

    def _member(self, node: Name | Text, enum: Symbol) -> TypedPart:
        word = node.name if isinstance(node, Name) else node.value
        if word in enum.members:
            return TextPart(TextConstant(word), enum)
        if isinstance(node, Name) and self._symbols.lookup(word) is not None:
            return self._typed(node)
        near = closest(word, enum.members)
        hint = f" (did you mean '{near}'?)" if near else ""
        raise self._error(node, f"'{word}' is not one of {', '.join(enum.members)}{hint}", near)

    def _ranks(self, node: Node, *sides: TextPart) -> tuple[Operation, Operation]:
        enums = [side.symbol for side in sides if side.symbol is not None and side.symbol.ordered]
        if len(enums) != len(sides) or enums[0].members != enums[1].members:
            raise self._error(
                node, f"'{self._source(node)}' compares texts, which have no order: use == or !="
            )
        first, second = (
            NumberConstant(float(enum.members.index(side.operand.text)))
            if isinstance(side.operand, TextConstant)
            else Rank(enum.name, enum.members)
            for side, enum in zip(sides, enums, strict=True)
        )
        return first, second

    def _mismatch(
        self, node: Node, verb: str, joint: str, left: tuple[Node, TypedPart], right: tuple[Node, TypedPart]
    ) -> ExpressionError:
        problem = f"cannot {verb} {self._describe(*left)} {joint} {self._describe(*right)}"
        hint = self._hint(*left, right[1]) or self._hint(*right, left[1])
        return self._error(node, f"{problem} ({hint})" if hint else problem)

    def _hint(self, node: Node, part: TypedPart, beside: TypedPart) -> str:
        """What was probably meant by one side of what does not go together."""
        if not isinstance(beside, Quantity):
            return ""
        source = self._source(node)
        if isinstance(node, Text):
            if self._symbols.lookup(node.value) is not None:
                return f"a name is written without quotes: {node.value}"
            return f"a number is written without quotes: {node.value}" if _is_number(node.value) else ""
        if isinstance(node, Number) and node.unit == "m" and beside.unit.kind == "number":
            return f"m is for minutes: a million is {source[:-1]}M"
        if isinstance(node, Number) and isinstance(part, Quantity) and part.unit.kind == "relative":
            return f"{source} of what? write {source} * NAME" if beside.unit.kind != "seconds" else ""
        return ""

    def _describe(self, node: Node, part: TypedPart) -> str:
        what = part.unit if isinstance(part, Quantity) else part
        return f"'{self._source(node)}' ({what})"

    def _source(self, node: Node) -> str:
        return " ".join(self._text[node.span.start : node.span.end].split())

    def _error(self, node: Node, message: str, suggestion: str | None = None) -> ExpressionError:
        return error_at(self._text, node.span.start, message, suggestion)


def _is_number(text: str) -> bool:
    try:
        float(text.strip().rstrip("%kMGsmhd"))
    except ValueError:
        return False
    return True
