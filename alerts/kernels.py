"""`@kernel`: functions compiled to machine code, kept on disk by a fingerprint of all that is compiled in.

numba's own cache looks at a function's file and bytecode only, but functions that it calls and constants of
other modules are compiled into it too. What is kept here goes by contents, so that one folder serves all
checkouts and installations of a user.

`detectors` and `alerts` may not import one another: each has this file, and a test compares the two.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, overload

from numba import njit
from numba.core import config, environment
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from .fingerprints import fingerprint  # the copies in other packages are identical

_DAY_S = 24 * 3600
_SEAL_BYTES = 16
_UNUSED_S = 90 * _DAY_S


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
    >>> total((1.0, 2.0, 3.5))
    6.5
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
        if path is None:
            return None
        try:
            data = path.read_bytes()
        except OSError:
            return None
        # `context.refresh` would import the whole compiler. Loaded code needs the memory of arrays and the
        # keys of hashes; all other symbols are known from the start, except for those of `parallel=True`.
        rtsys.initialize(context)
        import_module("numba.cpython.hashing")
        try:
            result = CompileResult._rebuild(context, *_Unpickler(BytesIO(_opened(data))).load())
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
            new.write_bytes(_seal(data) + data)
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


def _seal(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_SEAL_BYTES).digest()


def _opened(data: bytes) -> bytes:
    """What was sealed. Damaged machine code would crash the process, or compute something else."""
    if _seal(data[_SEAL_BYTES:]) != data[:_SEAL_BYTES]:
        raise ValueError("the file is damaged")
    return data[_SEAL_BYTES:]


@cache
def _make(folder: Path) -> None:
    """Make the folder, and take out of it what has not been used for long."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)  # what root compiles into an image, others load
    for pattern, seconds in (("*.kernel", _UNUSED_S), ("*.new", _DAY_S)):
        for path in folder.glob(pattern):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > seconds:
                    path.unlink()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        own = module == environment.__name__ and name == environment._rebuild_env.__name__
        return _environment if own else super().find_class(module, name)


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """The globals and constants of loaded code; modules of numba are not imported where it has neither."""
    if constants or module in sys.modules or not module.startswith("numba."):
        return environment._rebuild_env(module, constants, name)
    found = environment.lookup_environment(name)
    if found is None:
        found = environment.Environment({"__name__": module})
        found.env_name = name
        environment.Environment._memo[name] = found
    return found
