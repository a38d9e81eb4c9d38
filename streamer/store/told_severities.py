"""How severe a receiver was told that an episode is."""

from __future__ import annotations

from alerts.receivers.receiver import Delivery
from alerts.stages.view import SENT_STATES, EpisodeAtReceiver
from streamer.store.database import Database
from streamer.store.delivery_rows import DONE
from streamer.store.stage_facts import episode_deliveries, episodes_at_receivers

_ON_ITS_WAY = frozenset(SENT_STATES) - {DONE}


def told_severity(database: Database, delivery: Delivery) -> str | None:
    """The highest severity of the episode's earlier transitions that its receiver got, None for none of them.

    What counts as told is what `EpisodeAtReceiver.after` counts, of all that has not yet to arrive: what was
    named in a summary, unless that called it over, but not what was told late.
    """
    if delivery.number == 0:
        return None
    with database.read() as connection:
        rows = episode_deliveries(connection, [delivery.alert_id])
    arrived = [
        row
        for row in rows
        if row.receiver == delivery.receiver and row.number < delivery.number and row.state not in _ON_ITS_WAY
    ]
    key = delivery.alert_id, delivery.receiver
    return episodes_at_receivers(arrived).get(key, EpisodeAtReceiver()).told_severity
