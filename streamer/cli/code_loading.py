"""Speeds up importing many modules by keeping the garbage collector away from them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import modules in this context: without garbage collection, and exempt from it afterwards.

    Modules have many reference cycles and are never garbage: scanning them takes a tenth of the import time,
    and slows down every later collection.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
