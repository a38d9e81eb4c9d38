"""River's ADWIN without what else its package loads: data sets and scipy's statistics, for a second.

Whoever needs `river.drift` itself loads it as ever, and finds the same class there.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

PACKAGE = "river.drift"


@cache
def adwin() -> type:
    """`river.drift.ADWIN`."""
    found: type = (_alone() or import_module(PACKAGE)).ADWIN
    return found


def _alone() -> ModuleType | None:
    """The module it is in, under a package that loads nothing; None where that does not work."""
    spec = find_spec(PACKAGE)
    if PACKAGE in sys.modules or spec is None or spec.submodule_search_locations is None:
        return None
    package = ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules[PACKAGE] = package
    try:
        module = import_module(f"{PACKAGE}.adwin")
    except (ImportError, AttributeError):  # River is made otherwise now
        return None
    finally:
        del sys.modules[PACKAGE]
    return module if hasattr(module, "ADWIN") else None
