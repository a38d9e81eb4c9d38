"""What went out to one receiver, and what is on its way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from alerts.clock import Clock
from alerts.stages.view import Sent
from streamer.store.database import Database
from streamer.store.stage_facts import sent_since

KEPT_S: Final = 120.0
"""How far back it goes: twice the window of a cap."""


class SentMessages:
    """Messages to one receiver in the last `KEPT_S`, by the monotonic clock; from any thread.

    The store has the time of each delivery's last try, which is enough for what an earlier process sent.
    A sender counts each message when it went out, retries that may have arrived included, and does not
    depend on the wall clock being set. When deliveries were joined is known since its start.

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
        self._lock = threading.Lock()
        self._sent: list[Sent] = []
        self._on_way: dict[str, Sent] = {}
        self._joined: dict[int, float] = {}

    def age(self, now: float) -> float:
        """How long before then it began; monotonic seconds."""
        return now - self._began

    def start(self, key: str, message: Sent) -> None:
        """A delivery is on its way; `key` is its own."""
        with self._lock:
            self._on_way[key] = message

    def end(self, key: str, count: int) -> None:
        """It is not any more, and this many messages went out for it, or may have."""
        now = time.monotonic()
        with self._lock:
            message = self._on_way.pop(key)
            self._sent.extend([replace(message, at=now)] * count)
            self._added = self._added or count > 0
            if self._sent and self._sent[0].at <= now - KEPT_S:
                self._sent = [each for each in self._sent if each.at > now - KEPT_S]

    def add_joined(self, rank: int) -> None:
        """Note that deliveries have been joined into one of this rank."""
        self._joined[rank] = time.monotonic()

    def since(self, at: float) -> Sequence[Sent]:
        """Messages after that time, both by the monotonic clock, oldest first; then what is on its way."""
        self._load()
        now = time.monotonic()
        with self._lock:
            on_way = [replace(each, at=now) for each in self._on_way.values()]
            return [*(each for each in self._sent if each.at > at), *on_way]

    def joined_age(self, rank: int, now: float) -> float | None:
        """How long before then deliveries were last joined into one of this rank, None if never."""
        joined_at = self._joined.get(rank)
        return None if joined_at is None else now - joined_at

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        with self._database.read() as connection:
            earlier = sent_since(connection, self._receiver, self._began_at - KEPT_S)
        with self._lock:
            if self._added:  # then some of those are already counted
                earlier = [each for each in earlier if each.at < self._began_at]
            earlier = [replace(each, at=self._monotonic(each.at)) for each in earlier]
            self._sent = sorted((*earlier, *self._sent), key=lambda each: each.at)

    def _monotonic(self, at: float) -> float:
        return self._began - max(self._began_at - at, 0.0)  # a time ahead of a clock set back counts as now
