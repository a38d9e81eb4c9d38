"""All numeric conditions as one program, which a kernel runs over the columns of a batch.

`predicates` and `operations` define what a condition means, with one numpy call per operation. For a few
hundred rows the calls take longer than the work, and a batch is evaluated by a dozen rules, so here one call
runs all of them. Each step is the same IEEE 754 operation, so values are equal to the last bit.

A program processes a batch block by block. It skips a condition on a block without rows of its kinds, and the
rest of an `and` that is already false on the whole block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from alerts.kernels import kernel
from alerts.language.operations import (
    Absolute,
    Greatest,
    Least,
    Logarithm,
    Minus,
    Negative,
    NumberColumn,
    NumberConstant,
    Operation,
    Over,
    Plus,
    Times,
)
from alerts.language.predicates import OPPOSITES, All, Any, Compare, Not, Predicate

(_PLUS, _MINUS, _TIMES, _OVER, _LEAST, _GREATEST, _NEGATIVE, _ABSOLUTE, _LOGARITHM) = range(9)
(_LESS, _LESS_EQUAL, _GREATER, _GREATER_EQUAL, _EQUAL, _UNEQUAL) = range(10, 16)
(_AND, _OR, _SKIP_UNLESS_ANY, _SKIP_UNLESS_KIND, _STORE) = range(20, 25)

_BINARY: Mapping[type[Operation], int] = {
    Plus: _PLUS,
    Minus: _MINUS,
    Times: _TIMES,
    Over: _OVER,
    Least: _LEAST,
    Greatest: _GREATEST,
}
_UNARY: Mapping[type[Operation], int] = {
    Negative: _NEGATIVE,
    Absolute: _ABSOLUTE,
    Logarithm: _LOGARITHM,
}
_COMPARED = {
    "<": _LESS,
    "<=": _LESS_EQUAL,
    ">": _GREATER,
    ">=": _GREATER_EQUAL,
    "==": _EQUAL,
    "!=": _UNEQUAL,
}
_Known = TypeVar("_Known", str, float)

_BLOCK = 1024  # rows, so that intermediate results stay in the cache


def is_numeric(predicate: Predicate) -> bool:
    """Whether a condition uses numbers only, so that it can be part of a program.

    Examples
    --------
    >>> is_numeric(Compare(">", NumberColumn("size"), NumberConstant(5.0)))
    True
    """
    match predicate:
        case Compare(left=left, right=right):
            return _is_computed(left) and _is_computed(right)
        case All(parts=parts) | Any(parts=parts):
            return all(is_numeric(part) for part in parts)
        case Not(part=part):
            return is_numeric(part)
    return False


def _is_computed(operation: Operation) -> bool:
    if type(operation) in _BINARY:
        return _is_computed(operation.left) and _is_computed(operation.right)  # type: ignore[attr-defined]
    if type(operation) in _UNARY:
        return _is_computed(operation.operand)  # type: ignore[attr-defined]
    return isinstance(operation, NumberColumn | NumberConstant)


class Program:
    """Numeric conditions, compiled together.

    Parameters
    ----------
    conditions
        Each condition with the kinds of rows on which it is evaluated.

    Examples
    --------
    >>> program = Program([(Compare(">", NumberColumn("size"), NumberConstant(5.0)), frozenset({0}))])
    >>> true_on, any_true = program.run({"size": np.array([7.0, 7.0, np.nan])}, np.array([0, 1, 0], np.int8))
    >>> true_on.tolist(), any_true.tolist()
    ([[True, False, False]], [True])
    """

    def __init__(self, conditions: Sequence[tuple[Predicate, frozenset[int]]]) -> None:
        self._names: list[str] = []
        self._constants: list[float] = []
        self._steps: list[list[int]] = []
        self._memory = np.empty(0)
        self._n_conditions = len(conditions)
        self._n_numbers = self._n_flags = 0
        for number, (predicate, kinds) in enumerate(conditions):
            begin = self._add(_SKIP_UNLESS_KIND, number, sum(1 << kind for kind in kinds))
            self._truth(predicate, 0, yes=True)
            self._add(_STORE, number, sum(1 << kind for kind in kinds))
            self._steps[begin][3] = len(self._steps)
        self._values = np.array(self._constants, np.float64)[:, None]
        self._table = np.array(self._steps, np.int64).reshape(-1, 4)

    def run(
        self, numbers: Mapping[str, NDArray[np.float64]], kind: NDArray[np.int8]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Find the rows, of its kinds, on which each condition is true.

        Parameters
        ----------
        numbers
            float64[n] by name; a name without a column is missing on every row.
        kind
            int8[n].

        Returns
        -------
        true_on : bool[conditions, n]
        any_true : bool[conditions]
            Whether it is true on any row.
        """
        n = len(kind)
        columns = self._columns(n)
        for place, name in enumerate(self._names):
            columns[place] = numbers.get(name, np.nan)
        block = min(n, _BLOCK)
        computed = np.empty((2 * max(len(self._constants), self._n_numbers), block))
        computed[: 2 * len(self._constants) : 2] = self._values
        flags = np.empty((self._n_flags, block), np.bool_)
        true_on = np.zeros((self._n_conditions, n), np.bool_)
        any_true = np.zeros(self._n_conditions, np.bool_)
        _run(self._table, np.ascontiguousarray(kind), columns, computed, flags, true_on, any_true)
        return true_on, any_true

    def _columns(self, n: int) -> NDArray[np.float64]:
        """Memory for the columns, reused from batch to batch: allocating takes longer than filling."""
        size = len(self._names) * n
        if size > len(self._memory):
            self._memory = np.empty(size)
        return self._memory[:size].reshape(len(self._names), n)

    def _add(self, step: int, out: int, a: int, b: int = 0) -> int:
        self._steps.append([step, out, a, b])
        return len(self._steps) - 1

    def _truth(self, predicate: Predicate, out: int, *, yes: bool) -> None:
        """Add steps that set flag `out` where a condition is true, or false if not `yes`."""
        self._n_flags = max(self._n_flags, out + 1)
        match predicate:
            case Compare(operator=operator, left=left, right=right):
                a = self._number(left, 0)
                b = self._number(right, 1)
                self._add(_COMPARED[operator if yes else OPPOSITES[operator]], out, a, b)
            case Not(part=part):
                self._truth(part, out, yes=not yes)
            case All(parts=parts):
                self._join(parts, out, _AND if yes else _OR, yes=yes)
            case Any(parts=parts):
                self._join(parts, out, _OR if yes else _AND, yes=yes)

    def _join(self, parts: tuple[Predicate, ...], out: int, step: int, *, yes: bool) -> None:
        self._truth(parts[0], out, yes=yes)
        exits = []
        for part in parts[1:]:
            if step == _AND:
                exits.append(self._add(_SKIP_UNLESS_ANY, out, 0))
            self._truth(part, out + 1, yes=yes)
            self._add(step, out, out + 1)
        for exit_step in exits:
            self._steps[exit_step][3] = len(self._steps)

    def _number(self, operation: Operation, free: int) -> int:
        """Add steps that compute a number, using registers from `free` on; returns its place for `_run`."""
        if isinstance(operation, NumberColumn):
            return _index(self._names, operation.name)
        if isinstance(operation, NumberConstant):
            return ~(2 * _index(self._constants, operation.value))
        self._n_numbers = max(self._n_numbers, free + 1)
        out = ~(2 * free + 1)
        if type(operation) in _UNARY:
            self._add(_UNARY[type(operation)], out, self._number(operation.operand, free))  # type: ignore[attr-defined]
        else:
            a = self._number(operation.left, free)  # type: ignore[attr-defined]
            b = self._number(operation.right, free + 1)  # type: ignore[attr-defined]
            self._add(_BINARY[type(operation)], out, a, b)
        return out


def _index(known: list[_Known], one: _Known) -> int:
    if one not in known:
        known.append(one)
    return known.index(one)


@kernel
def _any(flags):  # type: ignore[no-untyped-def]
    any_flag = False
    for flag in flags:
        any_flag |= flag
    return any_flag


@kernel(error_model="numpy")
def _compute(step, a, b, out):  # type: ignore[no-untyped-def]
    if step == _PLUS:
        for i in range(out.shape[0]):
            out[i] = a[i] + b[i]
    elif step == _MINUS:
        for i in range(out.shape[0]):
            out[i] = a[i] - b[i]
    elif step == _TIMES:
        for i in range(out.shape[0]):
            out[i] = a[i] * b[i]
    elif step == _OVER:
        for i in range(out.shape[0]):
            out[i] = np.nan if b[i] == 0.0 else a[i] / b[i]
    elif step == _LEAST:
        for i in range(out.shape[0]):
            out[i] = a[i] if a[i] <= b[i] or a[i] != a[i] else b[i]
    elif step == _GREATEST:
        for i in range(out.shape[0]):
            out[i] = a[i] if a[i] >= b[i] or a[i] != a[i] else b[i]
    elif step == _NEGATIVE:
        for i in range(out.shape[0]):
            out[i] = -a[i]
    elif step == _ABSOLUTE:
        for i in range(out.shape[0]):
            out[i] = abs(a[i])
    else:
        for i in range(out.shape[0]):
            out[i] = math.log(a[i]) if a[i] > 0.0 else np.nan


@kernel
def _compare(step, a, b, out):  # type: ignore[no-untyped-def]
    if step == _LESS:
        for i in range(out.shape[0]):
            out[i] = a[i] < b[i]
    elif step == _LESS_EQUAL:
        for i in range(out.shape[0]):
            out[i] = a[i] <= b[i]
    elif step == _GREATER:
        for i in range(out.shape[0]):
            out[i] = a[i] > b[i]
    elif step == _GREATER_EQUAL:
        for i in range(out.shape[0]):
            out[i] = a[i] >= b[i]
    elif step == _EQUAL:
        for i in range(out.shape[0]):
            out[i] = a[i] == b[i]
    else:
        for i in range(out.shape[0]):
            out[i] = (a[i] < b[i]) | (a[i] > b[i])


@kernel
def _run(steps, kind, columns, computed, flags, true_on, any_true):  # type: ignore[no-untyped-def]
    # The place of a number: a column if not negative, else the complement of a row of `computed`, whose even
    # rows are constants.
    for begin in range(0, kind.shape[0], _BLOCK):
        end = min(begin + _BLOCK, kind.shape[0])
        n = end - begin
        kinds = np.int64(0)
        for row in range(begin, end):
            kinds |= np.int64(1) << np.int64(kind[row])
        at = 0
        while at < steps.shape[0]:
            step, out, a, b = steps[at, 0], steps[at, 1], steps[at, 2], steps[at, 3]
            at += 1
            if step <= _UNEQUAL:
                left = columns[a, begin:end] if a >= 0 else computed[~a, :n]
                right = columns[b, begin:end] if b >= 0 else computed[~b, :n]
                if step <= _LOGARITHM:
                    _compute(step, left, right, computed[~out, :n])
                else:
                    _compare(step, left, right, flags[out, :n])
            elif step == _AND:
                for i in range(n):
                    flags[out, i] &= flags[a, i]
            elif step == _OR:
                for i in range(n):
                    flags[out, i] |= flags[a, i]
            elif step == _SKIP_UNLESS_ANY:
                if not _any(flags[out, :n]):
                    at = b
            elif step == _SKIP_UNLESS_KIND:
                if not kinds & a:
                    at = b
            elif _any(flags[0, :n]):
                for i in range(n):
                    true_on[out, begin + i] = flags[0, i] & ((a >> np.int64(kind[begin + i])) & 1 > 0)
                any_true[out] |= _any(true_on[out, begin:end])
