"""Loading much code at once, which stays for as long as the process lives."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Within it nobody looks for garbage, and what is there at its end is never looked through again.

    What modules are made of has many cycles and is no garbage; looking through it again and again takes a
    tenth of the time that loading takes, and later each look takes longer for it.
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
