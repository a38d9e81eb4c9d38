"""Import River's ADWIN without the rest of its package, whose data sets and scipy statistics take a second.

`river.drift` can still be imported as usual, and holds the same class.
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
    adwin_class: type = (_import_module_alone() or import_module(PACKAGE)).ADWIN
    return adwin_class


def _import_module_alone() -> ModuleType | None:
    """ADWIN's module, imported under an empty stand-in package; None if that fails."""
    spec = find_spec(PACKAGE)
    if PACKAGE in sys.modules or spec is None or spec.submodule_search_locations is None:
        return None
    package = ModuleType(PACKAGE)
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules[PACKAGE] = package
    try:
        module = import_module(f"{PACKAGE}.adwin")
    except (ImportError, AttributeError):  # another version of River is laid out differently
        return None
    finally:
        del sys.modules[PACKAGE]
    return module if hasattr(module, "ADWIN") else None
