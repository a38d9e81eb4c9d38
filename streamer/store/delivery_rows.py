"""Rows of deliveries: their states, the ones that wait behind others, and what is read from them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, select

from alerts.receivers.receiver import Delivery
from alerts.stages.stage import AlertTransition
from alerts.stages.view import SENT_STATES
from streamer.store.tables import deliveries, delivery_steps, outbox

PENDING, TRYING, DONE, PARKED = SENT_STATES
"""States of deliveries; any other was said by the stage that stopped it."""

_earlier = deliveries.alias("earlier")


def transition_of(row: Any) -> AlertTransition:
    """The transition in a row of the outbox, as stages see it."""
    return AlertTransition(
        row.alert_id, row.number, row.rule, row.severity, row.transition, json.loads(row.body)
    )


def claimed_deliveries(connection: Connection, receiver: str, chosen: ColumnElement[bool]) -> list[Delivery]:
    """The chosen deliveries, which have just been claimed, with the steps done so far; oldest first."""
    rows = connection.execute(
        select(deliveries, outbox.c.body, outbox.c.created_at, outbox.c.behind_s)
        .join(outbox, outbox.c.n == deliveries.c.outbox_n)
        .where(chosen)
        .order_by(deliveries.c.n)
    ).all()
    steps = _steps(connection, receiver, [row.alert_id for row in rows])
    return [_delivery(row, steps[row.alert_id]) for row in rows]


def is_delivery(delivery: Delivery) -> ColumnElement[bool]:
    """Selects the row of a delivery."""
    return and_(
        deliveries.c.alert_id == delivery.alert_id,
        deliveries.c.number == delivery.number,
        deliveries.c.receiver == delivery.receiver,
    )


def blocked(by: Sequence[str] = (PENDING, TRYING, PARKED)) -> ColumnElement[bool]:
    """Selects deliveries that wait behind an earlier one of their episode, in one of these states."""
    return exists().where(
        _earlier.c.alert_id == deliveries.c.alert_id,
        _earlier.c.receiver == deliveries.c.receiver,
        _earlier.c.number < deliveries.c.number,
        _earlier.c.state.in_(by),
    )


def select_open(receiver: str, *columns: Any) -> Select[Any]:
    """Selects the pending deliveries to a receiver that wait behind no other."""
    return select(*columns).where(
        deliveries.c.receiver == receiver, deliveries.c.state == PENDING, ~blocked()
    )


def _steps(
    connection: Connection, receiver: str, alert_ids: Sequence[str]
) -> Mapping[str, dict[int, dict[str, str]]]:
    steps: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    query = (
        select(delivery_steps)
        .where(delivery_steps.c.receiver == receiver, delivery_steps.c.alert_id.in_(alert_ids))
        .order_by(delivery_steps.c.number)
    )
    for row in connection.execute(query):
        steps[row.alert_id][row.number][row.step] = row.result
    return steps


def _delivery(row: Row[Any], steps: Mapping[int, Mapping[str, str]]) -> Delivery:
    return Delivery(
        alert_id=row.alert_id,
        number=row.number,
        receiver=row.receiver,
        body=row.body,
        attempts=row.attempts - 1,  # without the one this claim is for
        in_doubt=bool(row.in_doubt),
        steps=dict(steps.get(row.number, {})),
        earlier=tuple(dict(done) for number, done in sorted(steps.items()) if number < row.number),
        created_at=row.created_at,
        behind_s=row.behind_s,
    )
