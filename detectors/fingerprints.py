"""What a kernel is compiled from, told by contents.

That is the bytecode of the function and of every function that it calls, the value of every global, closure
cell and default that these read, their options, and the versions of numba, llvmlite, numpy and Python. Paths,
times of files, comments, docstrings and annotations are no part of it.

`detectors` and `alerts` may not import one another: each has this file, and a test compares the two.
"""

from __future__ import annotations

import builtins
import enum
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from opcode import hasconst, opmap
from types import CodeType, EllipsisType, FunctionType, ModuleType
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

_VERSIONS = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
_VERSIONED = {"numba", "llvmlite", "numpy", *sys.stdlib_module_names}  # their contents follow from that
_LOAD_GLOBAL, _EXTENDED_ARG = opmap["LOAD_GLOBAL"], opmap["EXTENDED_ARG"]

_Callee = tuple[FunctionType, str]  # with its options


def fingerprint(dispatcher: Any) -> str:
    """Tell by contents what a kernel is compiled from: the same where the same machine code comes of it.

    Raises
    ------
    TypeError
        When it reads a value whose contents cannot be told.

    Examples
    --------
    >>> from numba import njit
    >>> def times(factor):
    ...     return njit(lambda value: factor * value)
    >>> fingerprint(times(2)) == fingerprint(times(2)), fingerprint(times(2)) == fingerprint(times(3))
    (True, False)
    """
    digest = hashlib.blake2b(repr(_VERSIONS).encode(), digest_size=16)
    waiting, known = [_callee(dispatcher)], set()
    while waiting:
        callee = waiting.pop()
        if callee not in known:
            known.add(callee)
            text, callees = _contents(*callee)
            digest.update(text.encode())
            waiting += reversed(callees)
    return digest.hexdigest()


def _callee(dispatcher: Any) -> _Callee:
    return dispatcher.py_func, repr(sorted(dispatcher.targetoptions.items()))


@cache
def _contents(function: FunctionType, options: str) -> tuple[str, tuple[_Callee, ...]]:
    """What one function is made of and reads, and the functions that it calls."""
    reads = _Reads(function)
    code = function.__code__
    words = [_name(function), options, reads.code(code)]
    words.append(reads.value("its defaults", (function.__defaults__, function.__kwdefaults__)))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        words.append(reads.value(name, cell.cell_contents))
    return "\n".join(words), tuple(reads.callees)


class _Reads:
    """Values that a function reads, each as text that differs where the value does."""

    def __init__(self, function: FunctionType) -> None:
        self._function = function
        self.callees: list[_Callee] = []

    def code(self, code: CodeType) -> str:
        constants = code.co_consts
        if constants and isinstance(constants[0], str) and not _loads_first_constant(code):
            constants = constants[1:]  # the docstring
        words = [
            str((code.co_name, code.co_code, code.co_exceptiontable, code.co_flags)),
            str((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)),
            str((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
            *(self.value("a constant", constant) for constant in constants),
        ]
        for name in _globals_of(code):
            known = self._function.__globals__
            value = known[name] if name in known else getattr(builtins, name, None)
            words.append(f"{name}={self.value(name, value, code.co_names)}")
        return "\n".join(words)

    def value(self, name: str, value: Any, attributes: Iterable[str] = ()) -> str:
        """A value as text; of a module and a class of one's own, those of its attributes that may be read."""
        match value:
            case np.generic() | np.ndarray():
                return f"{value.dtype.descr}{value.shape}{value.flags.num}{value.tobytes().hex()}"
            case enum.Enum():
                return f"{_name(type(value))}.{value.name}={self.value(name, value.value)}"
            case None | bool() | int() | float() | complex() | str() | bytes() | EllipsisType() | np.dtype():
                return f"{type(value).__name__} {value!r}"
            case tuple() | list():
                parts = ",".join(self.value(name, each) for each in value)
                return f"{self._class(name, type(value))}({parts})"
            case set() | frozenset():
                return f"{type(value).__name__}({','.join(sorted(self.value(name, each) for each in value))})"
            case dict():
                return f"dict({','.join(self.value(name, each) for pair in value.items() for each in pair)})"
            case CodeType():
                return self.code(value)
            case Dispatcher():
                self.callees.append(_callee(value))
                return f"kernel {_name(value.py_func)}"
            case type():
                return self._class(name, value)
            case ModuleType() if not _is_versioned(value.__name__):
                parts = ",".join(
                    self.value(each, getattr(value, each), attributes)
                    for each in attributes
                    if hasattr(value, each)
                )
                return f"module {value.__name__}({parts})"
        owner = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
        if not _is_versioned(owner or ""):
            called = getattr(value, "__wrapped__", value)  # of an intrinsic, what builds its instructions
            if not isinstance(called, FunctionType):
                raise TypeError(f"{_name(self._function)}: a kernel cannot read {name}, {value!r}")
            self.callees.append((called, type(value).__name__))
            return f"function {_name(called)}"
        text = f"{owner} {getattr(value, '__qualname__', value)}"
        if " at 0x" in text:  # an address, which says nothing of what is there
            raise TypeError(f"{_name(self._function)}: a kernel cannot read {name}, {value!r}")
        return text

    def _class(self, name: str, value: type) -> str:
        text = f"class {_name(value)}"
        if issubclass(value, enum.Enum):
            return f"{text}({','.join(self.value(name, member) for member in value)})"
        if issubclass(value, tuple):
            return f"{text}{getattr(value, '_fields', ())}{getattr(value, '_field_defaults', {})}"
        if issubclass(value, BaseException) or _is_versioned(value.__module__):
            return text
        raise TypeError(f"{_name(self._function)}: a kernel cannot read {name}, {value!r}")


def _name(of: Any) -> str:
    return f"{of.__module__}.{of.__qualname__}"


def _is_versioned(module: str) -> bool:
    return module.partition(".")[0] in _VERSIONED


def _instructions(code: CodeType) -> Iterator[tuple[int, int]]:
    """Each operation with its argument."""
    extended = 0
    for operation, argument in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        if operation == _EXTENDED_ARG:
            extended = (extended | argument) << 8
        else:
            yield operation, extended | argument
            extended = 0


def _globals_of(code: CodeType) -> list[str]:
    places = {argument >> 1 for operation, argument in _instructions(code) if operation == _LOAD_GLOBAL}
    return [code.co_names[place] for place in sorted(places)]


def _loads_first_constant(code: CodeType) -> bool:
    return any(argument == 0 and operation in hasconst for operation, argument in _instructions(code))
