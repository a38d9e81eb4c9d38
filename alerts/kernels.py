"""`@kernel`: functions compiled to machine code, kept on disk under a fingerprint of all that is compiled in.

numba's own cache looks at a function's file and bytecode only, but functions that it calls and constants of
other modules are compiled into it too. The fingerprint here covers contents: the bytecode of the function and
of every function that it calls, the value of every global, closure cell and default that these read, their
options, and the versions of numba, llvmlite, numpy and Python. Paths, times of files, comments, docstrings
and annotations are no part of it, so that one folder serves all checkouts and installations of a user.

This file stands in each package that holds kernels and may not import another's; the copies are identical.
"""

from __future__ import annotations

import builtins
import enum
import hashlib
import os
import pickle
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from opcode import hasconst, opmap
from pathlib import Path
from types import CodeType, EllipsisType, FunctionType, ModuleType
from typing import Any, overload

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from numba import njit
from numba.core import config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

_VERSIONS = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
_VERSIONED = {"numba", "llvmlite", "numpy", *sys.stdlib_module_names}  # their contents follow from that
_LOAD_GLOBAL, _EXTENDED_ARG = opmap["LOAD_GLOBAL"], opmap["EXTENDED_ARG"]
_DAY_S = 24 * 3600
_UNUSED_S = 90 * _DAY_S

_Callee = tuple[FunctionType, str]  # with its options


@overload
def kernel(function: Callable[..., Any], /) -> Any: ...


@overload
def kernel(
    *, error_model: str = "python", forceinline: bool = False
) -> Callable[[Callable[..., Any]], Any]: ...


def kernel(
    function: Callable[..., Any] | None = None,
    /,
    *,
    error_model: str = "python",
    forceinline: bool = False,
) -> Any:
    """Compile a function at its first call with new types, without the GIL, and keep the result on disk.

    A kernel that another one calls is compiled into it, under its own options, and both are compiled anew
    when anything that they read changes.

    Parameters
    ----------
    function
        What numba can compile in nopython mode.
    error_model
        ``numpy`` divides by zero as numpy does, ``python`` raises `ZeroDivisionError`.
    forceinline
        Whether LLVM must inline it into its callers.

    Raises
    ------
    TypeError
        At the first call, when it reads a global whose value has no fingerprint.

    Notes
    -----
    The options are always given: numba lets a function inherit those that are not from whichever caller it is
    compiled for first, and a kept function must not depend on that.

    Examples
    --------
    >>> @kernel
    ... def total(values):
    ...     found = 0.0
    ...     for value in values:
    ...         found += value
    ...     return found
    >>> total(np.arange(4.0))
    6.0
    """

    def compiled(plain: Callable[..., Any]) -> Any:
        dispatcher = njit(
            nogil=True,
            error_model=error_model,
            forceinline=forceinline,
            fastmath=False,
            no_cfunc_wrapper=True,  # what C would call, which takes a tenth of the time to compile
        )(plain)
        dispatcher._cache = _KernelCache(dispatcher)
        return dispatcher

    return compiled if function is None else compiled(function)


def kernel_folder() -> Path | None:
    """Where compiled kernels are kept; None where the user has no home.

    It is `kernels` in ``NUMBA_CACHE_DIR``, or else in `tapewatch` in ``XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / "kernels"
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        caches = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return caches / "tapewatch" / "kernels"


class _KernelCache(NullCache):  # type: ignore[misc]
    """One file for a kernel's fingerprint, argument types and processor: processes need no common index."""

    def __init__(self, dispatcher: Any) -> None:
        self._dispatcher = dispatcher
        self._fingerprint = ""

    @property
    def cache_path(self) -> str:
        return str(kernel_folder() or "")

    def load_overload(self, signature: Any, context: Any) -> Any:
        path = self._path(signature, context.codegen())
        if path is None or not path.exists():
            return None
        context.refresh()
        try:
            result = CompileResult._rebuild(context, *pickle.loads(path.read_bytes()))  # noqa: S301 - as trusted as code
        except Exception:  # noqa: BLE001 - whatever has befallen the file, it can be compiled anew
            return None
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _DAY_S:
                path.touch()
        return result

    def save_overload(self, signature: Any, result: Any) -> None:
        path = self._path(signature, result.codegen)
        if path is None or result.lifted or result.library.has_dynamic_globals:
            return
        data = dumps(result._reduce())
        new = path.with_name(f"{uuid.uuid4().hex}.new")
        try:
            _make(path.parent)
            new.write_bytes(data)
            new.replace(path)
        except OSError:  # a full disk, a folder that cannot be written to: it is compiled each time
            with suppress(OSError):
                new.unlink(missing_ok=True)

    def _path(self, signature: Any, codegen: Any) -> Path | None:
        folder = kernel_folder()
        if folder is None:
            return None
        function = self._dispatcher.py_func
        if not self._fingerprint:
            self._fingerprint = fingerprint(self._dispatcher)
        key = repr((self._fingerprint, str(signature), codegen.magic_tuple(), config.OPT, config.BOUNDSCHECK))
        digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return folder / f"{function.__module__}.{function.__name__}-{digest}.kernel"


@cache
def _make(folder: Path) -> None:
    """Make the folder, and take out of it what has not been used for long."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for pattern, seconds in (("*.kernel", _UNUSED_S), ("*.new", _DAY_S)):
        for path in folder.glob(pattern):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > seconds:
                    path.unlink()


def fingerprint(dispatcher: Any) -> str:
    """Tell by contents what a kernel is compiled from: the same where the same machine code comes of it.

    Raises
    ------
    TypeError
        When it reads a value whose contents cannot be told.

    Examples
    --------
    >>> def scaled(value, factor=2.0):
    ...     return factor * value
    >>> before = fingerprint(kernel(scaled))
    >>> scaled.__defaults__ = (3.0,)
    >>> fingerprint(kernel(scaled)) == before
    False
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
