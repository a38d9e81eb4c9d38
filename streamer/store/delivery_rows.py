"""Rows of deliveries: their states, and what is read from them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    bindparam,
    func,
    literal_column,
    select,
)

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


def in_state(*states: str, table: FromClause = deliveries) -> ColumnElement[bool]:
    """Selects deliveries in these states, written out: partial indexes are found by the text."""
    written: list[ColumnElement[Any]] = [literal_column(f"'{state}'") for state in states]
    column = table.c.state
    return column == written[0] if len(written) == 1 else column.in_(written)


def is_open(table: FromClause = deliveries) -> ColumnElement[bool]:
    """Selects deliveries that are neither done nor held back for good."""
    return in_state(PENDING, TRYING, PARKED, table=table)


def is_delivery() -> ColumnElement[bool]:
    """Selects the row of a delivery; its values are those of `key_of`."""
    c = deliveries.c
    return and_(
        c.alert_id == bindparam("episode"), c.number == bindparam("place"), c.receiver == bindparam("to")
    )


def key_of(delivery: Delivery) -> dict[str, Any]:
    """The values for `is_delivery`."""
    return {"episode": delivery.alert_id, "place": delivery.number, "to": delivery.receiver}


_PENDING = (
    select(
        deliveries,
        outbox.c.body,
        # an earlier post is looked for from then on
        func.coalesce(outbox.c.doubtful_since, outbox.c.created_at).label("created_at"),
        outbox.c.behind_s,
    )
    .join(outbox, outbox.c.n == deliveries.c.outbox_n)
    .where(deliveries.c.n.in_(bindparam("numbers", expanding=True)), in_state(PENDING))
    .order_by(deliveries.c.rank, deliveries.c.n)
)
_STEPS = (
    select(delivery_steps)
    .where(
        delivery_steps.c.receiver == bindparam("to"),
        delivery_steps.c.alert_id.in_(bindparam("episodes", expanding=True)),
    )
    .order_by(delivery_steps.c.number)
)


def pending_deliveries(connection: Connection, receiver: str, numbers: Sequence[int]) -> dict[int, Delivery]:
    """Those of these rows that are pending, by row, with the steps done so far, in their order."""
    rows = connection.execute(_PENDING, {"numbers": numbers}).all()
    steps = _steps(connection, receiver, [row.alert_id for row in rows if row.number or row.attempts])
    return {row.n: _delivery(row, steps.get(row.alert_id, {})) for row in rows}


def _steps(
    connection: Connection, receiver: str, alert_ids: Sequence[str]
) -> Mapping[str, dict[int, dict[str, str]]]:
    steps: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    if not alert_ids:
        return steps  # first attempts at beginnings: nothing was done before
    for row in connection.execute(_STEPS, {"to": receiver, "episodes": alert_ids}):
        steps[row.alert_id][row.number][row.step] = row.result
    return steps


def _delivery(row: Row[Any], steps: Mapping[int, Mapping[str, str]]) -> Delivery:
    return Delivery(
        alert_id=row.alert_id,
        number=row.number,
        receiver=row.receiver,
        body=row.body,
        attempts=row.attempts,
        in_doubt=bool(row.in_doubt),
        steps=dict(steps.get(row.number, {})),
        earlier=tuple(dict(done) for number, done in sorted(steps.items()) if number < row.number),
        created_at=row.created_at,
        behind_s=row.behind_s,
    )
