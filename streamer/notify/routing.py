"""Routing: asks the stages once for each new alert and receiver, and keeps what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection

from alerts.short_id import short_id
from alerts.stages.chain import StageChain
from alerts.stages.stage import HoldUntil, Stop, Verdict
from alerts.stages.view import SUPERSEDED
from streamer.notify.routing_order import RoutingOrder
from streamer.notify.stage_views import RoutingView
from streamer.store.delivery_rows import PENDING, transition_of
from streamer.store.outbox import NewDelivery, Overtaken, Routing, StoreOutbox, Unrouted

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RoutedBatch:
    """What became of some transitions.

    Parameters
    ----------
    receivers
        Those that have a delivery of one of them, held back or not.
    held_back
        How many deliveries were held back, by receiver and state; superseded ones included.
    """

    receivers: frozenset[str]
    held_back: Mapping[tuple[str, str], int]


def route(
    outbox: StoreOutbox,
    rows: Sequence[Unrouted],
    receivers: Sequence[str],
    stages: StageChain,
    now: float,
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

    def decide(connection: Connection) -> Routing:
        view = RoutingView(connection, [row.alert_id for row in rows], now)
        kept = _Kept(RoutingOrder(view.deliveries, stages.late_after_s))
        for row, transition in zip(rows, transitions, strict=True):
            before = len(kept.new)
            for receiver in receivers:
                verdict = prepared.judge("routing", transition, receiver, now, view).verdict
                delivery = _delivery(row, receiver, verdict)
                if delivery is not None:
                    view.add(row, receiver, delivery.state, delivery.held_by)
                    kept.add(delivery)
            if len(kept.new) == before:
                log.warning("alert goes to nobody", alert=short_id(row.alert_id), rule=row.rule)
        return kept.routing()

    routing = outbox.route(rows, decide)
    held_back = Counter((each.receiver, each.state) for each in routing.new if each.state != PENDING)
    held_back.update((each.receiver, SUPERSEDED) for each in routing.overtaken)
    return RoutedBatch(frozenset(each.receiver for each in routing.new), held_back)


class _Kept:
    """What is to be kept of the transitions that are being routed."""

    def __init__(self, order: RoutingOrder) -> None:
        self.new: list[NewDelivery] = []
        self._order = order
        self._overtaken: list[Overtaken] = []
        self._hastened: dict[int, int] = {}

    def add(self, delivery: NewDelivery) -> None:
        if delivery.state != PENDING:
            self.new.append(delivery)
            return
        row, receiver = delivery.row, delivery.receiver
        placed = self._order.add(row, receiver, len(self.new))
        reason = f"{row.transition} #{row.number} overtook it"
        for each in placed.overtaken:
            if each.n is not None:
                self._overtaken.append(Overtaken(each.n, row.alert_id, receiver, reason))
            else:
                self._change(each.place, state=SUPERSEDED, held_by=reason)
        for each in placed.hastened:
            if each.n is not None:
                self._hastened[each.n] = each.rank
            else:
                self._change(each.place, rank=each.rank)
        self.new.append(replace(delivery, rank=placed.rank, behind=placed.behind))

    def routing(self) -> Routing:
        return Routing(self.new, self._overtaken, tuple(self._hastened.items()))

    def _change(self, place: int, **values: Any) -> None:
        self.new[place] = replace(self.new[place], **values)


def _delivery(row: Unrouted, receiver: str, verdict: Verdict) -> NewDelivery | None:
    if isinstance(verdict, HoldUntil):
        raise TypeError("a stage that runs once, at routing, is never asked again: it passes or stops")
    if not isinstance(verdict, Stop):
        return NewDelivery(row, receiver, PENDING)
    return None if verdict.state is None else NewDelivery(row, receiver, verdict.state, verdict.reason)
