"""Kernels that are kept on disk are loaded without what it takes to compile any.

numba makes its compiler ready before it loads a kept kernel: it imports all that it can compile, scipy's
linear algebra too, and sorts it, which takes four times as long as loading the kernels does. It does so again
where it compiles, so a kernel that is not kept misses nothing.

This is beyond what numba documents. Where a version of it does not fit, kernels are loaded its own way. So
are those of others, which may need symbols that only numba's compiler makes known: one that runs in threads
of its own (``parallel=True``) does, which none here may.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from numba.core import environment
from numba.core.caching import Cache
from numba.core.cpu import CPUContext
from numba.core.runtime import rtsys

OWN = frozenset({"alerts", "detectors", "streamer"})
"""The packages whose kernels are loaded this way."""

_numbas_way = Cache.load_overload
_numbas_environment = environment._rebuild_env


def load_without_compiler(packages: Collection[str] = OWN) -> None:
    """Load these packages' kernels this way from now on, in this process."""
    import_module("numba.cpython.hashing")  # makes known what kernels with dictionaries need

    def load(cache: Any, signature: Any, context: Any) -> Any:
        owner = cache._py_func.__module__.partition(".")[0]
        quick = owner in packages and isinstance(context, CPUContext)
        return (_load if quick else _numbas_way)(cache, signature, context)

    Cache.load_overload = load


def _load(cache: Any, signature: Any, context: Any) -> Any:
    """As numba's own, under its lock; None where none is kept."""
    try:
        rtsys.initialize(context)  # what arrays are allocated with
        with _bare_environments():
            return cache._load_overload(signature, context)
    except Exception:  # noqa: BLE001 - whatever does not fit any more, there is another way
        return _numbas_way(cache, signature, context)


@contextmanager
def _bare_environments() -> Iterator[None]:
    environment._rebuild_env = _environment
    try:
        yield
    finally:
        environment._rebuild_env = _numbas_environment


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """What a compiled function may look up at work: its constants, and names of its module in object mode.

    Functions of numba's that were compiled into a kernel have no constants, and no object mode: their modules
    are not loaded for them.
    """
    if constants or module in sys.modules or not module.startswith("numba."):
        return _numbas_environment(module, constants, name)
    found = environment.lookup_environment(name)
    if found is None:
        found = environment.Environment({"__name__": module})
        found.env_name = name
        environment.Environment._memo[name] = found
    return found
