"""When messages went out to one receiver."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from alerts.clock import Clock
from streamer.store.database import Database
from streamer.store.stage_facts import sent_since

KEPT_S: Final = 120.0
"""How far back it goes: twice the window of a cap."""


class SentMessages:
    """Messages to one receiver in the last `KEPT_S`, by the monotonic clock.

    The store has the time of each delivery's last try, which is enough for what an earlier process sent.
    A sender counts each message when it went out, retries that may have arrived included, and does not
    depend on the wall clock being set. Summaries of earlier senders are not counted.

    Parameters
    ----------
    database
        Where the messages of earlier processes are looked up, once.
    receiver
        The receiver's name.
    clock
        Wall-clock time.
    """

    def __init__(self, database: Database, receiver: str, clock: Clock) -> None:
        self._database = database
        self._receiver = receiver
        self._clock = clock
        self._began_at = clock.now()
        self._began = time.monotonic()
        self._loaded = self._added = False
        self._sent: list[float] = []
        self._joined: dict[str, float] = {}

    def add(self, count: int) -> None:
        """Count messages that have gone out now, or may have."""
        now = time.monotonic()
        self._sent.extend([now] * count)
        self._added = True
        del self._sent[: bisect_right(self._sent, now - KEPT_S)]

    def add_joined(self, rule: str) -> None:
        """Note that deliveries have been joined into an alert of this rule."""
        self._joined[rule] = time.monotonic()

    def times(self) -> Sequence[float]:
        """When each message was sent, by the monotonic clock, oldest first; not a copy."""
        self._load()
        return self._sent

    def joined_age(self, rule: str, now: float) -> float | None:
        """How long before then deliveries were last joined into an alert of this rule, None if never."""
        joined_at = self._joined.get(rule)
        return None if joined_at is None else now - joined_at

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        with self._database.read() as connection:
            earlier = sent_since(connection, self._receiver, self._began_at - KEPT_S)
        if self._added:  # then some of those are already counted
            earlier = [at for at in earlier if at < self._began_at]
        self._sent = sorted((*map(self._monotonic, earlier), *self._sent))

    def _monotonic(self, at: float) -> float:
        return self._began - max(self._began_at - at, 0.0)  # a time ahead of a clock set back counts as now
