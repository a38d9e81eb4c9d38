"""When messages went out to one receiver."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

from alerts.clock import Clock
from streamer.store.database import Database
from streamer.store.stage_facts import last_of_rule, sent_since

KEPT_S: Final = 120.0
"""How far back it goes: twice the window of a cap."""


class SentMessages:
    """Messages to one receiver in the last `KEPT_S`, by the monotonic clock.

    The store has the time of each delivery's last try, which is enough for what an earlier process sent.
    This process counts each message when it went out, retries that may have arrived included, and does
    not depend on the wall clock being set.

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
        self._sent: deque[float] = deque()
        self._joined: dict[str, float | None] = {}

    def add(self, count: int) -> None:
        """Count messages that have gone out now, or may have."""
        now = time.monotonic()
        self._sent.extend([now] * count)
        self._added = True
        while self._sent and self._sent[0] <= now - KEPT_S:
            self._sent.popleft()

    def add_joined(self, rule: str) -> None:
        """Note that deliveries have been joined into an alert of this rule."""
        self._joined[rule] = time.monotonic()

    def ages(self, now: float) -> list[float]:
        """How long before a monotonic time each message was sent, in seconds, oldest first."""
        self._load()
        return [now - at for at in self._sent]

    def joined_age(self, rule: str, now: float) -> float | None:
        """How long before then deliveries were last joined into an alert of this rule, None if never."""
        if rule not in self._joined:
            with self._database.read() as connection:
                at = last_of_rule(connection, self._receiver, rule, self._began_at - KEPT_S)
            self._joined[rule] = None if at is None else self._monotonic(at)
        joined_at = self._joined[rule]
        return None if joined_at is None else now - joined_at

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        with self._database.read() as connection:
            earlier = sent_since(connection, self._receiver, self._began_at - KEPT_S)
        if self._added:  # then some of those are already counted
            earlier = [at for at in earlier if at < self._began_at]
        self._sent = deque(sorted((*map(self._monotonic, earlier), *self._sent)))

    def _monotonic(self, at: float) -> float:
        return self._began - max(self._began_at - at, 0.0)  # a time ahead of a clock set back counts as now
