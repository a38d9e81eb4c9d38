"""One daemon per store: a lock that the kernel releases when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.errors import TapewatchError
from streamer.store.private_files import open_private


class StoreHeldError(TapewatchError):
    """A daemon is running on the store."""


@contextmanager
def only_daemon_of(store: Path) -> Iterator[None]:
    """Hold the store's lock.

    Parameters
    ----------
    store
        The store's file; the lock is a file beside it.

    Raises
    ------
    StoreHeldError
        When another process holds it.
    TapewatchError
        When the lock file cannot be created.
    """
    path = store.with_name(store.name + ".lock")
    try:
        lock = os.fdopen(open_private(path, os.O_WRONLY | os.O_APPEND), "a")
    except OSError as error:
        raise TapewatchError(
            f"cannot lock the store {store} ({error.strerror}): check that its folder may be written to"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreHeldError(
                f"another tapewatch is running on the store {store}: "
                "stop that one, or name another file in `store`"
            ) from error
        yield
