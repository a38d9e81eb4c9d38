"""Heartbeats: a message with counts every so often, so that silence means quiet and not dead."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Row, delete, insert, select, update

from alerts.alert import Alert, Observation
from alerts.clock import Clock
from alerts.durations import spoken
from alerts.service_alert import HEARTBEAT, service_alert
from alerts.stages.importance import HEARTBEATS
from alerts.stages.view import SUMMARISED
from streamer.messages.time_units import NS_PER_SECOND
from streamer.notify.heartbeat_settings import HeartbeatSettings
from streamer.store.database import Database
from streamer.store.delivery_rows import PARKED, PENDING, TRYING
from streamer.store.parked_deliveries import ParkedGroup
from streamer.store.service_alerts import raise_service_alert
from streamer.store.silences import StoreSilences
from streamer.store.tables import deliveries, delivery_steps, outbox

_OPEN = (PENDING, TRYING, PARKED)
_MUTES_NAMED = 20  # a message must stay one that somebody reads


@dataclass(frozen=True, slots=True)
class Counts:
    """What this process has done so far.

    Parameters
    ----------
    records, alerts, dead_letters
        How many were consumed, fired and refused.
    source
        State of the source, for people: ``reading``, ``not answering``, ``recovering``.
    delivered
        How many messages were delivered.
    step_age_s
        Seconds since the last step was finished.
    behind
        Records that the broker holds and that have not been read; None while that is not known.
    undelivered_s
        For how long the oldest alert on its way has waited, 0 where there is none; None where not known.
    causes
        Why not all is well; empty where it is.
    parked
        What receivers have refused, and nobody has retried.
    failing
        Receivers that nothing gets through to, and why.
    """

    records: int = 0
    alerts: int = 0
    dead_letters: int = 0
    source: str = "reading"
    delivered: int = 0
    step_age_s: float = 0.0
    behind: int | None = None
    undelivered_s: float | None = 0.0
    causes: Sequence[str] = ()
    parked: Sequence[ParkedGroup] = ()
    failing: Mapping[str, str] = field(default_factory=dict)


class HeartbeatSender:
    """Puts a heartbeat for each of its receivers into the store when one is due.

    The next heartbeat replaces one that could not be sent, so that a receiver that was away gets one and
    not hundreds; those that have arrived are deleted. They are never muted and never summarised.

    Parameters
    ----------
    database
        The open store.
    settings
        Its receivers and its interval.
    clock
        Wall-clock time.
    counts
        What it reports.
    monotonic
        Monotonic seconds, by which it is due: a clock that is set neither delays nor hastens it.
    """

    def __init__(
        self,
        database: Database,
        settings: HeartbeatSettings,
        clock: Clock,
        counts: Callable[[], Counts],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._counts = counts
        self._monotonic = monotonic
        self._silences = StoreSilences(database)
        self._last = Counts()
        self._last_at: float | None = None
        self._kept: list[str] | None = None

    def beat(self) -> Sequence[str]:
        """Put one into the store if it is due; the receivers that it is for."""
        at = self._monotonic()
        passed_s = None if self._last_at is None else at - self._last_at
        if passed_s is not None and passed_s < self._settings.every_s:
            return ()
        counts, now = self._counts(), self._clock.now()
        self._owe(self._alert(counts, now, passed_s), now)
        self._last, self._last_at = counts, at
        return self._settings.to

    def _alert(self, counts: Counts, now: float, passed_s: float | None) -> Alert:
        before = self._last
        new = {
            "records": counts.records - before.records,
            "alerts": counts.alerts - before.alerts,
            "dead_letters": counts.dead_letters - before.dead_letters,
        }
        muted = dict.fromkeys(each.text for each in self._silences.mutes(now))
        since = "so far" if passed_s is None else f"in the last {passed_s:.0f} s"
        said = (
            f"{new['records']:,} records, {new['alerts']:,} alerts and {new['dead_letters']:,} dead letters"
        )
        state = f"NOT WELL: {'; '.join(counts.causes)}" if counts.causes else "at work"
        text = f"{state}, source {counts.source}: {said} {since}; {_progress(counts)}"
        if muted:
            more = f" and {len(muted) - _MUTES_NAMED} more" if len(muted) > _MUTES_NAMED else ""
            text += f"; muted: {', '.join(list(muted)[:_MUTES_NAMED])}{more}"
        refused = [f"{group.shown} to {group.receiver} ({group.code})" for group in counts.parked]
        if refused:
            text += f"; parked: {', '.join(refused)}"
        if counts.failing:
            away = [f"{name} ({code})" for name, code in counts.failing.items()]
            text += f"; nothing gets through to: {', '.join(away)}"
        return service_alert(
            HEARTBEAT,
            (now,),
            "info",
            Observation(
                ts_event_ns=int(now * NS_PER_SECOND),
                source={"every_s": self._settings.every_s},
                values={
                    **new,
                    "source": counts.source,
                    "step_age_s": round(counts.step_age_s, 1),
                    "behind": counts.behind,
                    "undelivered_s": None if counts.undelivered_s is None else round(counts.undelivered_s, 1),
                },
                text=text,
            ),
        )

    def _owe(self, alert: Alert, now: float) -> None:
        d = deliveries.c
        if self._kept is None:
            self._kept = self._left_behind()
        with self._database.write() as connection:
            rows = connection.execute(
                select(d.n, d.alert_id, d.receiver, d.state).where(d.alert_id.in_(self._kept)).order_by(d.n)
            ).all()
            replaced = _replaced(rows)
            connection.execute(
                update(deliveries)
                .where(d.n.in_(replaced))
                .values(state=SUMMARISED, held_by=f"{alert.id}-{alert.number}")
            )
            open_ = {row.alert_id for row in rows if row.state in _OPEN and row.n not in replaced}
            over = [alert_id for alert_id in self._kept if alert_id not in open_]
            for table in (delivery_steps, deliveries, outbox):
                connection.execute(delete(table).where(table.c.alert_id.in_(over)))
            raise_service_alert(connection, alert, now, routed=True)
            n = connection.execute(select(outbox.c.n).where(outbox.c.alert_id == alert.id)).scalar_one()
            own = {"outbox_n": n, "alert_id": alert.id, "number": alert.number, "state": PENDING}
            own["rank"] = HEARTBEATS
            connection.execute(insert(deliveries), [{**own, "receiver": to} for to in self._settings.to])
        self._kept = [*sorted(open_), alert.id]

    def _left_behind(self) -> list[str]:
        """Heartbeats of earlier processes; queried once, since the outbox is long."""
        with self._database.read() as connection:
            return list(connection.scalars(select(outbox.c.alert_id).where(outbox.c.rule == HEARTBEAT)))


def _progress(counts: Counts) -> str:
    behind = "backlog unknown" if counts.behind is None else f"{counts.behind:,} behind"
    waits = counts.undelivered_s
    oldest = "" if not waits else f", oldest undelivered alert {spoken(waits)} old"
    return f"last step {spoken(counts.step_age_s)} ago, {behind}{oldest}"


def _replaced(rows: Sequence[Row[int, str, str, str]]) -> list[int]:
    """Those that the next heartbeat replaces; the newest parked one stays, so parking is reported once."""
    parked = {row.receiver: row.n for row in rows if row.state == PARKED}
    return [
        row.n
        for row in rows
        if row.state == PENDING or (row.state == PARKED and row.n != parked[row.receiver])
    ]
