"""One daemon per store: a lock that the kernel releases when the process ends, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.errors import TapewatchError


@contextmanager
def only_daemon_of(store: Path) -> Iterator[None]:
    """Hold the store's lock.

    Parameters
    ----------
    store
        The store's file; the lock is a file beside it.

    Raises
    ------
    TapewatchError
        When another process holds it, or the lock file cannot be created.
    """
    path = store.with_name(store.name + ".lock")
    try:
        lock = path.open("a")
    except OSError as error:
        raise TapewatchError(f"cannot lock the store {store}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TapewatchError(
                f"another tapewatch is running on the store {store}: "
                "stop that one, or name another file in `store`"
            ) from error
        yield
