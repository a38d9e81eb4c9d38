"""Which transitions a receiver is not told of: those of a muted rule, and what goes on after a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, select

from alerts.severity import severity_rank
from streamer.store.deliveries import HELD_BACK, MUTED, SUMMARISED
from streamer.store.mutes import until_text
from streamer.store.tables import deliveries, outbox


class Step(Protocol):
    """A transition that is to be routed."""

    @property
    def alert_id(self) -> str:
        """The episode."""

    @property
    def transition(self) -> str:
        """``fired``, ``updated`` or ``resolved``."""

    @property
    def severity(self) -> str:
        """How much it matters now."""


@dataclass(slots=True)
class _History:
    """What became of an episode's earlier transitions at one receiver."""

    heard: bool = False
    held: tuple[str, str | None] | None = None
    severity: int = -1

    def add(self, state: str, held_by: str | None, severity: str) -> None:
        if state in HELD_BACK:
            self.held = state, held_by
            self.severity = max(self.severity, severity_rank(severity))
        else:
            self.heard = True


class Histories:
    """What receivers have heard of some episodes, kept up as their transitions are routed.

    Parameters
    ----------
    connection
        Inside the write transaction that routes.
    alert_ids
        The episodes.
    """

    def __init__(self, connection: Connection, alert_ids: Sequence[str]) -> None:
        self._of: dict[tuple[str, str], _History] = {}
        d, o = deliveries.c, outbox.c
        query = (
            select(d.alert_id, d.receiver, d.state, d.held_by, o.severity)
            .join(outbox, o.n == d.outbox_n)
            .where(d.alert_id.in_(sorted(set(alert_ids))))
            .order_by(d.n)
        )
        for row in connection.execute(query):
            self._history(row.alert_id, row.receiver).add(row.state, row.held_by, row.severity)

    def holds_back(
        self, step: Step, receiver: str, muted_until: float | None
    ) -> tuple[str, str | None] | None:
        """The state and the reason of a transition that is not to go out, None for one that is.

        * Of a muted rule nothing goes out but the end of an episode that the receiver has heard of.
        * The end of an episode that it has not heard of does not go out either.
        * What a summary has named goes on unsaid, unless it has become more severe since.
        """
        history = self._history(step.alert_id, receiver)
        found: tuple[str, str | None] | None = None
        ends = step.transition == "resolved"
        if history.heard and ends:
            found = None
        elif muted_until is not None:
            found = MUTED, f"muted until {until_text(muted_until)}"
        elif not history.heard and history.held is not None:
            summarised = history.held[0] == SUMMARISED
            worse = severity_rank(step.severity) > history.severity
            found = history.held if ends or (summarised and not worse) else None
        history.add(*(found or ("pending", None)), step.severity)
        return found

    def _history(self, alert_id: str, receiver: str) -> _History:
        return self._of.setdefault((alert_id, receiver), _History())
