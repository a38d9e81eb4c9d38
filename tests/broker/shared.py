"""One local broker for all processes that run tests: each costs its start, and a bit as long as it runs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.local import LocalBroker, serves


@contextmanager
def shared_broker(room: Path) -> Iterator[str]:
    """Yield where the broker listens: the first process starts it, and keeps it until the last is done.

    Parameters
    ----------
    room
        A folder that the processes have in common.

    Raises
    ------
    BrokerError
        When it cannot be started.
    """
    with (room / "broker.users").open("a") as users:
        started = None
        with (room / "broker").open("a+") as place:
            fcntl.flock(place, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            place.seek(0)
            bootstrap = place.read()
            if not (bootstrap and serves(bootstrap)):
                started = LocalBroker.started()
                bootstrap = started.bootstrap
                place.truncate(0)
                place.write(bootstrap)
        try:
            yield bootstrap
        finally:
            if started is not None:
                fcntl.flock(users, fcntl.LOCK_EX)
                started.stop()
