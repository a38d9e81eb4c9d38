"""What stages see: the store, and what this process knows more exactly."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import overload

from sqlalchemy import Connection

from alerts.stages.matchers import Silence
from alerts.stages.view import EpisodeAtReceiver, WaitingDelivery
from streamer.notify.sent_messages import SentMessages
from streamer.store import stage_facts
from streamer.store.database import Database
from streamer.store.silences import silences_in_force


class StoreView:
    """Answers everything from the store; an `alerts.stages.view.StageView`.

    Parameters
    ----------
    read
        Opens a transaction.
    now
        Wall-clock seconds.
    """

    def __init__(self, read: Callable[[], AbstractContextManager[Connection]], now: float) -> None:
        self._read = read
        self._now = now

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        """What became of the episode's earlier transitions at the receiver."""
        with self._read() as connection:
            episodes = stage_facts.episodes_at_receivers(connection, [alert_id])
        return episodes.get((alert_id, receiver), EpisodeAtReceiver())

    def silences(self, now: float) -> Sequence[Silence]:
        """Silences in force at a time."""
        with self._read() as connection:
            return silences_in_force(connection, now)

    def sent_since(self, receiver: str, since: float) -> Sequence[float]:
        """Times of messages that arrived there, or may have, after `since`."""
        with self._read() as connection:
            return stage_facts.sent_since(connection, receiver, since)

    def joined_since(self, receiver: str, rule: str, since: float) -> bool:
        """True when deliveries there were joined into an alert of this rule after `since`."""
        with self._read() as connection:
            at = stage_facts.last_of_rule(connection, receiver, rule, since)
        return at is not None and at > since

    def holds(self, receiver: str, stage: str) -> bool:
        """True when a delivery that is due there has been held by the stage of this name."""
        with self._read() as connection:
            return stage_facts.is_holding(connection, receiver, stage, self._now)

    def waiting(self, receiver: str, limit: int) -> Sequence[WaitingDelivery]:
        """What waits there, oldest first, at most `limit`."""
        with self._read() as connection:
            return stage_facts.waiting_deliveries(connection, receiver, limit)


class RoutingView(StoreView):
    """The view while alerts are routed: one transaction, episodes and silences read once.

    Parameters
    ----------
    connection
        Inside the write transaction that routes.
    alert_ids
        The episodes to be routed.
    now
        Wall-clock seconds.
    """

    def __init__(self, connection: Connection, alert_ids: Sequence[str], now: float) -> None:
        super().__init__(lambda: nullcontext(connection), now)
        self._episodes = stage_facts.episodes_at_receivers(connection, alert_ids)
        self._silences = silences_in_force(connection, now)

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        """What became of the episode's earlier transitions, those of the same transaction included."""
        return self._episodes.get((alert_id, receiver), EpisodeAtReceiver())

    def silences(self, now: float) -> Sequence[Silence]:
        """Silences in force when the transaction began."""
        return self._silences

    def add(self, alert_id: str, receiver: str, state: str, reason: str | None, severity: str) -> None:
        """Count a delivery that this transaction keeps."""
        after = self.episode(alert_id, receiver).after(state, reason, severity)
        self._episodes[alert_id, receiver] = after


class ClaimView(StoreView):
    """The view while deliveries to one receiver are claimed.

    Parameters
    ----------
    database
        The open store.
    messages
        What was sent to this receiver.
    now
        Wall-clock seconds, just read: messages are placed on that clock by how long ago they were sent.
    """

    def __init__(self, database: Database, messages: SentMessages, now: float) -> None:
        super().__init__(database.read, now)
        self._monotonic = time.monotonic()
        self._messages = messages
        self._claimed = 0

    def sent_since(self, receiver: str, since: float) -> Sequence[float]:
        """Times of messages after `since`; what passed earlier in this claim counts as sent now."""
        sent = _WallTimes(self._messages.times(), self._monotonic, self._now, self._claimed)
        return sent.after(since)

    def joined_since(self, receiver: str, rule: str, since: float) -> bool:
        """True when deliveries there were joined into an alert of this rule after `since`."""
        age = self._messages.joined_age(rule, self._monotonic)
        return age is not None and self._now - age > since

    def add(self) -> None:
        """Count a delivery that has passed in this claim."""
        self._claimed += 1


class _WallTimes(Sequence[float]):
    """Monotonic times on the wall clock, computed when looked at: a cap of thousands looks at a few."""

    def __init__(self, sent: Sequence[float], monotonic: float, now: float, more_now: int, skipped: int = 0):
        self._sent = sent
        self._monotonic = monotonic
        self._now = now
        self._more_now = more_now
        self._skipped = skipped

    def after(self, since: float) -> _WallTimes:
        skipped = self._skipped + bisect_right(self, since)
        return _WallTimes(self._sent, self._monotonic, self._now, self._more_now, skipped)

    def __len__(self) -> int:
        return len(self._sent) + self._more_now - self._skipped

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...

    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index] + self._skipped
        return self._now - (self._monotonic - self._sent[place]) if place < len(self._sent) else self._now
