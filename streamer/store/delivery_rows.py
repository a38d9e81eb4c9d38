"""Rows of deliveries: their states, and what is read from them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, literal_column, select

from alerts.receivers.receiver import Delivery
from alerts.stages.stage import AlertTransition
from alerts.stages.view import SENT_STATES
from streamer.store.tables import deliveries, delivery_steps, outbox

PENDING, TRYING, DONE, PARKED = SENT_STATES
"""States of deliveries; any other was said by the stage that stopped it."""


def transition_of(row: Any) -> AlertTransition:
    """The transition in a row of the outbox, as stages see it."""
    return AlertTransition(
        row.alert_id,
        row.number,
        row.rule,
        row.severity,
        row.transition,
        json.loads(row.body),
        behind_s=row.behind_s,
    )


def claimed_deliveries(connection: Connection, receiver: str, chosen: ColumnElement[bool]) -> list[Delivery]:
    """The chosen deliveries, which have just been claimed, with the steps done so far, in their order."""
    rows = connection.execute(
        select(deliveries, outbox.c.body, outbox.c.created_at, outbox.c.behind_s)
        .join(outbox, outbox.c.n == deliveries.c.outbox_n)
        .where(chosen)
        .order_by(deliveries.c.rank, deliveries.c.n)
    ).all()
    steps = _steps(connection, receiver, [row.alert_id for row in rows])
    return [_delivery(row, steps[row.alert_id]) for row in rows]


def in_state(*states: str, table: FromClause = deliveries) -> ColumnElement[bool]:
    """Selects deliveries in these states, written out: partial indexes are found by the text."""
    written: list[ColumnElement[Any]] = [literal_column(f"'{state}'") for state in states]
    column = table.c.state
    return column == written[0] if len(written) == 1 else column.in_(written)


def is_open(table: FromClause = deliveries) -> ColumnElement[bool]:
    """Selects deliveries that are neither done nor held back for good."""
    return in_state(PENDING, TRYING, PARKED, table=table)


def is_delivery(delivery: Delivery) -> ColumnElement[bool]:
    """Selects the row of a delivery."""
    return and_(
        deliveries.c.alert_id == delivery.alert_id,
        deliveries.c.number == delivery.number,
        deliveries.c.receiver == delivery.receiver,
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
