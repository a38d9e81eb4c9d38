"""The text of an alert: a template with names in braces, filled in without evaluating anything."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from alerts.durations import spoken
from alerts.language.errors import error_at
from alerts.language.symbols import Symbol, Symbols
from alerts.plain_text import one_line
from alerts.rounding import rounded
from alerts.suggestions import closest

MAX_LENGTH = 2_000
"""Characters of a filled text; longer ones are truncated. Slack's sections hold 3,000."""

MAX_WIDTH = 20
"""Maximum width, in characters, to which a value can be padded."""

MAX_PRECISION = 9
"""Maximum digits after the point; float64 has no more for a price."""

ALWAYS = {name: Symbol(name, "string") for name in ("venue", "symbol")}
"""Names that every template can use."""

_PIECE = re.compile(r"\{\{|\}\}|\{(?P<inside>[^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_FORMAT = re.compile(r"[+\- ]?(?P<width>[1-9][0-9]{0,5})?,?(?:\.(?P<digits>[0-9]{1,5}))?(?P<type>[fegd%s]?)")
_HOW = "write for example +.1f: a sign, a width, a comma, digits after a point, and one of f e g d % s"


@dataclass(frozen=True, slots=True)
class TemplateField:
    """A placeholder in a template."""

    symbol: Symbol
    format: str

    def fill(self, value: float | str | None) -> str:
        """The formatted value, ``n/a`` if it is missing; an event's text breaks no line, cut short or not."""
        if value is None or isinstance(value, str):
            return "n/a" if value is None else format(one_line(value), self.format)
        if not math.isfinite(value):
            return "n/a"
        if not self.format:
            is_rarity = self.symbol.source == "detector" and self.symbol.type == "seconds"
            return spoken(value) if is_rarity else rounded(value, name=self.symbol.name)
        if self.format[-1] == "d":
            return format(round(value), self.format)
        scale = self.symbol.scale if self.format[-1] == "%" and self.symbol.type == "relative" else 1.0
        return format(value * scale, self.format)


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A compiled template.

    Parameters
    ----------
    template
        As it was written.
    pieces
        Its parts in order: plain texts and placeholders.
    """

    template: str
    pieces: tuple[str | TemplateField, ...]

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols it names, in order of first mention."""
        named = (piece.symbol for piece in self.pieces if isinstance(piece, TemplateField))
        return tuple({symbol.name: symbol for symbol in named}.values())

    def format(self, values: Mapping[str, float | str | None]) -> str:
        """The text with these values, truncated to `MAX_LENGTH` characters; a missing value reads ``n/a``."""
        filled = "".join(
            piece if isinstance(piece, str) else piece.fill(values.get(piece.symbol.name))
            for piece in self.pieces
        )
        return filled if len(filled) <= MAX_LENGTH else filled[: MAX_LENGTH - 1] + "…"


def compile_text(template: str, symbols: Symbols) -> TextTemplate:
    """Compile a template.

    Parameters
    ----------
    template
        Text with ``{name}`` or ``{name:format}``; ``{{`` and ``}}`` stand for braces. A format is a subset of
        Python's: ``[+- ][width][,][.digits]`` and one of ``f e g d % s``, without fill or alignment. ``%``
        shows a relative value as a percentage: 25 bps are 0.25%. Without a format numbers are rounded,
        as in ``1.25M``, prices keep their digits, and a rarity reads as a duration, such as ``2.1d``.
    symbols
        The known names; ``symbol`` and ``venue`` are always known.

    Raises
    ------
    ExpressionError
        When anything is wrong with it.

    Examples
    --------
    >>> from alerts.language.symbols import SymbolTable
    >>> table = SymbolTable.of(Symbol("return_bps_10s", "relative", 1e-4))
    >>> text = compile_text("{symbol} moved {return_bps_10s:+.1f} bps in 10 s", table)
    >>> text.format({"symbol": "BTCUSDT", "return_bps_10s": -31.04})
    'BTCUSDT moved -31.0 bps in 10 s'
    """
    pieces: list[str | TemplateField] = []
    at = 0
    for match in _PIECE.finditer(template):
        pieces.append(template[at : match.start()])
        at = match.end()
        if match[0] in ("{{", "}}"):
            pieces.append(match[0][0])
        elif match["inside"] is not None:
            pieces.append(_placeholder(template, match.start("inside"), match["inside"], symbols))
        else:
            problem = "is never closed" if match[0] == "{" else "has no opening brace"
            hint = f"'{match[0]}' {problem} (a brace itself is written {match[0] * 2})"
            raise error_at(template, match.start(), hint)
    pieces.append(template[at:])
    return TextTemplate(template, tuple(piece for piece in pieces if piece != ""))


def _placeholder(template: str, offset: int, inside: str, symbols: Symbols) -> TemplateField:
    name, colon, spec = inside.partition(":")
    if not name:
        raise error_at(template, offset, "a name is missing between the braces")
    if not _NAME.fullmatch(name):
        problem = f"'{name}' is not a name: braces hold a name and a format, not an expression"
        raise error_at(template, offset, problem)
    symbol = _known(template, offset, name, symbols)
    at = offset + len(name) + 1
    if colon and not spec:
        raise error_at(template, at, f"a format is missing after the colon ({_HOW})")
    format_problem = _format_problem(symbol, spec) if colon else None
    if format_problem is not None:
        raise error_at(template, at, format_problem)
    return TemplateField(symbol, spec)


def _known(template: str, offset: int, name: str, symbols: Symbols) -> Symbol:
    symbol = symbols.lookup(name) or ALWAYS.get(name)
    if symbol is not None:
        return symbol
    near = closest(name, [*symbols.names(), *ALWAYS])
    hint = f" (did you mean '{near}'?)" if near else ""
    raise error_at(template, offset, symbols.explain(name) or f"unknown name '{name}'{hint}", near)


def _format_problem(symbol: Symbol, spec: str) -> str | None:
    match = _FORMAT.fullmatch(spec)
    if match is None:
        return f"'{spec}' is not a format ({_HOW})"
    if int(match["width"] or 0) > MAX_WIDTH:
        return f"'{spec}' is wider than {MAX_WIDTH} characters"
    if int(match["digits"] or 0) > MAX_PRECISION:
        return f"'{spec}' has more than {MAX_PRECISION} digits after the point"
    is_text = symbol.type in ("string", "enum")
    if is_text and match["type"] not in ("", "s"):
        return f"'{spec}' is for numbers, '{symbol.name}' is a text"
    if not is_text and match["type"] in ("", "s"):
        if match["type"]:
            return f"'{spec}' is for texts, '{symbol.name}' is a number"
        return f"'{spec}' has no type (end it with f, e, g, d or %)"
    try:
        format("text" if is_text else 7, spec)
    except ValueError:
        return f"'{spec}' is not a format for this ({_HOW})"
    return None
