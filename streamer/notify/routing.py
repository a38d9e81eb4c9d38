"""Routing: asks the stages once for each new alert and receiver, and keeps what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from alerts.short_id import short_id
from alerts.stages.chain import StageChain
from alerts.stages.stage import HoldUntil, Stop, Verdict
from streamer.notify.stage_views import RoutingView
from streamer.store.delivery_rows import PENDING, transition_of
from streamer.store.outbox import NewDelivery, StoreOutbox, Unrouted

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoutedBatch:
    """What became of some transitions.

    Parameters
    ----------
    receivers
        Those that have a delivery of one of them, held back or not.
    held_back
        How many deliveries were held back, by receiver and state.
    """

    receivers: frozenset[str]
    held_back: Mapping[tuple[str, str], int]


def route(
    outbox: StoreOutbox, rows: Sequence[Unrouted], receivers: Sequence[str], stages: StageChain, now: float
) -> RoutedBatch:
    """Route transitions, in one transaction.

    Parameters
    ----------
    outbox
        Where they come from, and where the deliveries are kept.
    rows
        From its `unrouted`.
    receivers
        All receivers, in the order of the configuration.
    stages
        What decides.
    now
        Wall-clock seconds.
    """
    transitions = [transition_of(row) for row in rows]
    prepared = stages.prepare(transitions)  # outside the transaction, which keeps commits waiting

    def decide(connection: Connection) -> list[NewDelivery]:
        view = RoutingView(connection, [row.alert_id for row in rows], now)
        new: list[NewDelivery] = []
        for row, transition in zip(rows, transitions, strict=True):
            before = len(new)
            for receiver in receivers:
                verdict = prepared.judge("routing", transition, receiver, now, view).verdict
                delivery = _delivery(row, receiver, verdict)
                if delivery is not None:
                    view.add(row.alert_id, receiver, delivery.state, delivery.held_by, row.severity)
                    new.append(delivery)
            if len(new) == before:
                log.warning("alert goes to nobody", alert=short_id(row.alert_id), rule=row.rule)
        return new

    new = outbox.route(rows, decide)
    held_back = Counter((each.receiver, each.state) for each in new if each.state != PENDING)
    return RoutedBatch(frozenset(each.receiver for each in new), held_back)


def _delivery(row: Unrouted, receiver: str, verdict: Verdict) -> NewDelivery | None:
    if isinstance(verdict, HoldUntil):
        raise TypeError("a stage that runs once, at routing, is never asked again: it passes or stops")
    if not isinstance(verdict, Stop):
        return NewDelivery(row, receiver, PENDING)
    return None if verdict.state is None else NewDelivery(row, receiver, verdict.state, verdict.reason)
