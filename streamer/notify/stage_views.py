"""What stages see: the store, and what this process knows more exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from alerts.stages.matchers import Silence
from alerts.stages.stage import AlertTransition
from alerts.stages.view import EpisodeAtReceiver, Sent, WaitingDelivery
from alerts.subjects import subject_of
from streamer.notify.sent_messages import SentMessages
from streamer.store import stage_facts
from streamer.store.database import Database
from streamer.store.outbox import Unrouted
from streamer.store.receiver_holds import held_ranks
from streamer.store.silences import silences_in_force


class StoreView:
    """Answers everything from the store; an `alerts.stages.view.StageView`.

    Parameters
    ----------
    read
        Opens a transaction.
    """

    def __init__(self, read: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._read = read

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        """What became of the episode's earlier transitions at the receiver."""
        with self._read() as connection:
            rows = stage_facts.episode_deliveries(connection, [alert_id])
        episodes = stage_facts.episodes_at_receivers(rows)
        return episodes.get((alert_id, receiver), EpisodeAtReceiver())

    def silences(self, now: float) -> Sequence[Silence]:
        """Silences in force at a time."""
        with self._read() as connection:
            return silences_in_force(connection, now)

    def sent_since(self, receiver: str, since: float, ranks: Collection[int]) -> Sequence[Sent]:
        """Messages of these ranks that arrived there, or may have, after `since`."""
        with self._read() as connection:
            sent = stage_facts.sent_since(connection, receiver, since)
        return [each for each in sent if each.rank in ranks]

    def joined_at(self, receiver: str, rank: int) -> float | None:
        """Never, as far as the store knows: that is known since a sender's start."""
        return None

    def held(self, receiver: str, stage: str) -> Collection[int]:
        """The ranks of which the stage of this name holds all that is due there."""
        with self._read() as connection:
            return held_ranks(connection, receiver, stage)

    def waiting(  # noqa: PLR0913 - those of `StageView.waiting`
        self,
        receiver: str,
        limit: int,
        *,
        ranks: Collection[int] | None = None,
        episodes: Collection[str] | None = None,
        bodies: bool = False,
        newest: bool = False,
    ) -> Sequence[WaitingDelivery]:
        """What waits there, oldest first, at most `limit`."""
        with self._read() as connection:
            return stage_facts.waiting_deliveries(
                connection, receiver, limit, ranks=ranks, episodes=episodes, bodies=bodies, newest=newest
            )


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
        super().__init__(lambda: nullcontext(connection))
        self.deliveries = stage_facts.episode_deliveries(connection, alert_ids)
        """What those episodes had before."""
        self._episodes = stage_facts.episodes_at_receivers(self.deliveries)
        self._silences = silences_in_force(connection, now)

    def episode(self, alert_id: str, receiver: str) -> EpisodeAtReceiver:
        """What became of the episode's earlier transitions, those of the same transaction included."""
        return self._episodes.get((alert_id, receiver), EpisodeAtReceiver())

    def silences(self, now: float) -> Sequence[Silence]:
        """Silences in force when the transaction began."""
        return self._silences

    def add(self, row: Unrouted, receiver: str, state: str, reason: str | None) -> None:
        """Count a delivery that this transaction keeps."""
        before = self.episode(row.alert_id, receiver)
        self._episodes[row.alert_id, receiver] = before.after(state, reason, row.severity, row.transition)


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
    held
        Stage and reason by rank, where all of the rank that is due is held.
    """

    def __init__(
        self,
        database: Database,
        messages: SentMessages,
        now: float,
        held: Mapping[int, tuple[str, str]] = MappingProxyType({}),
    ) -> None:
        super().__init__(database.read)
        self._now = now
        self._held = held
        self._monotonic = time.monotonic()
        self._messages = messages
        self._passed: list[Sent] = []
        self._passed_keys: set[str] = set()
        self._waiting: dict[Any, Sequence[WaitingDelivery]] = {}

    def sent_since(self, receiver: str, since: float, ranks: Collection[int]) -> Sequence[Sent]:
        """Messages of these ranks after `since`; what has passed in this claim counts as sent now."""
        sent = self._messages.since(self._monotonic - (self._now - since))
        at_wall = [
            replace(each, at=min(self._now - (self._monotonic - each.at), self._now))
            for each in sent
            if each.rank in ranks
        ]
        return [*at_wall, *(each for each in self._passed if each.rank in ranks)]

    def joined_at(self, receiver: str, rank: int) -> float | None:
        """When deliveries there were last joined into one of this rank; None where they never were."""
        age = self._messages.joined_age(rank, self._monotonic)
        return None if age is None else self._now - age

    def held(self, receiver: str, stage: str) -> Collection[int]:
        """The ranks of which the stage of this name holds all that is due there."""
        return [rank for rank, (holder, _) in self._held.items() if holder == stage]

    def waiting(  # noqa: PLR0913 - those of `StageView.waiting`
        self,
        receiver: str,
        limit: int,
        *,
        ranks: Collection[int] | None = None,
        episodes: Collection[str] | None = None,
        bodies: bool = False,
        newest: bool = False,
    ) -> Sequence[WaitingDelivery]:
        """What waits there; read once in a claim, what has passed in it waits no longer.

        What an earlier process left has waited since the sender began: that is no sign of a slow receiver.
        """
        asked = limit, None if ranks is None else tuple(ranks), None if episodes is None else tuple(episodes)
        key = receiver, bodies, newest, *asked
        if key not in self._waiting:
            found = super().waiting(
                receiver, limit, ranks=ranks, episodes=episodes, bodies=bodies, newest=newest
            )
            began_at = self._now - self._messages.age(self._monotonic)
            self._waiting[key] = [
                each if each.since >= began_at else replace(each, since=began_at) for each in found
            ]
        if not self._passed_keys:
            return self._waiting[key]
        return [each for each in self._waiting[key] if each.key not in self._passed_keys]

    def add(self, transition: AlertTransition) -> None:
        """Count a delivery that has passed in this claim."""
        self._passed_keys.add(transition.key)
        self._passed.append(message_of(transition, self._now))


def message_of(transition: AlertTransition, at: float) -> Sent:
    """The message that a delivery is."""
    body = transition.body
    subject = subject_of(body.get("venue"), body.get("symbol"), transition.rule)
    return Sent(at, transition.rank, transition.rule, subject)
