"""Alerts about the service that the store raises: refused deliveries, floods of dead letters, gaps, damage.

Each is written once: its id follows from what happened, and an id that is already there is left alone.
"""

from __future__ import annotations

from sqlalchemy import Connection

from alerts.alert import Alert, Observation, log_source
from alerts.receivers.receiver import Delivery
from alerts.service_alert import (
    DAMAGED_RANGE,
    DEAD_LETTER_FLOOD,
    DELIVERY_PARKED,
    LOG_GAP,
    PARTITION_PAUSED,
    service_alert,
)
from streamer.messages.floods import Flood
from streamer.messages.logs import Log, name_of
from streamer.messages.records import DamagedRange, Partition, PausedPartition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.store.database import insert_absent
from streamer.store.tables import outbox

_HOUR_S = 3_600
_ANSWER_LENGTH = 200  # characters of an answer that an alert repeats; all that is kept is in the store
_NS_PER_MINUTE = 60 * NS_PER_SECOND


def parked(delivery: Delivery, reason: str, now: float) -> Alert:
    """A receiver has refused an alert for good.

    Parameters
    ----------
    delivery
        The first delivery that was parked.
    reason
        The receiver's error.
    now
        Wall-clock seconds.
    """
    receiver = delivery.receiver
    said = f" It answered: {delivery.answer[:_ANSWER_LENGTH]}" if delivery.answer else ""
    return service_alert(
        DELIVERY_PARKED,
        # with attempts: a parked delivery that is retried and refused again raises another alert
        (receiver, reason, delivery.key, delivery.attempts),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={"receiver": receiver, "reason": reason, "delivery": delivery.key},
            text=f"receiver {receiver} refuses alerts: {reason}; they are kept until it is put right "
            f"and they are retried (tapewatch alerts --retry-parked {receiver}).{said}",
        ),
    )


def dead_letter_flood(log: Log, flood: Flood, config_hash: str = "") -> Alert:
    """More dead letters of one reason in a minute than are kept; the rest is only counted.

    Parameters
    ----------
    log
        Where the records come from.
    flood
        What is wrong with them, when they came, and the first one that is only counted.
    config_hash
        The configuration they were decoded under.
    """
    partition, first = log.members[flood.first_source], flood.first_offset
    of = f" of {name_of(partition)}" if log.is_joined else ""
    return service_alert(
        DEAD_LETTER_FLOOD,
        (*partition, flood.reason, flood.minute, first),
        "warning",
        Observation(
            ts_event_ns=max(flood.minute, 0) * _NS_PER_MINUTE,
            source=_log(partition, first) | {"reason": flood.reason},
            text=f"many records of {log} cannot be used: {flood.reason}, "
            f"only counted from offset {first}{of} on",
        ),
        config_hash,
    )


def log_gap(
    partition: Partition, lost: tuple[int, int], now: float, config_hash: str = "", detail: str = ""
) -> Alert:
    """Records are no longer in the log that should have been read.

    Parameters
    ----------
    partition
        Which log.
    lost
        First and last offset that are lost, both included.
    now
        Wall-clock seconds.
    config_hash
        The configuration that runs.
    detail
        What follows from it, for people.
    """
    first, last = lost
    return service_alert(
        LOG_GAP,
        (*partition, first, last),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=_log(partition, first) | {"last_offset": last},
            text=f"{partition.topic}[{partition.partition}] has lost offsets {first} to {last} "
            f"before they were read{f'; {detail}' if detail else ''}",
        ),
        config_hash,
    )


def damaged_range(
    partition: Partition, damaged: DamagedRange, now: float, config_hash: str = "", detail: str = ""
) -> Alert:
    """Records are in the log, but cannot be read.

    Parameters
    ----------
    partition
        Which log.
    damaged
        Which offsets, and why.
    now
        Wall-clock seconds.
    config_hash
        The configuration that runs.
    detail
        What follows from it, for people.
    """
    first, last = damaged.first, damaged.last
    return service_alert(
        DAMAGED_RANGE,
        (*partition, first, last),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=_log(partition, first) | {"last_offset": last, "reason": damaged.cause},
            text=f"{partition.topic}[{partition.partition}] is damaged: offsets {first} to {last} cannot be "
            f"read ({damaged.cause}); {detail}. Look at the broker's disks; if another replica holds them "
            "undamaged, make it the leader",
        ),
        config_hash,
    )


def partition_paused(paused: PausedPartition, now: float) -> Alert:
    """A partition is not read on until somebody does something; another alert each hour.

    Parameters
    ----------
    paused
        Which partition, why, and what to do.
    now
        Wall-clock seconds.
    """
    partition = paused.partition
    return service_alert(
        PARTITION_PAUSED,
        (*partition, paused.offset, paused.reason, int(now // _HOUR_S)),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=_log(partition, paused.offset) | {"reason": paused.reason},
            text=f"{partition.topic}[{partition.partition}] is not read on from offset {paused.offset}: "
            f"{paused.cause}. {paused.remedy[:1].upper()}{paused.remedy[1:]}",
        ),
    )


def raise_service_alert(
    connection: Connection,
    alert: Alert,
    created_at: float,
    task_id: int | None = None,
    *,
    routed: bool = False,
) -> bool:
    """Put a service alert into the outbox unless it is already there.

    Parameters
    ----------
    connection
        Inside the write transaction that keeps what it reports.
    alert
        From one of the functions above.
    created_at
        Wall-clock seconds.
    task_id
        The task it is about, None if none.
    routed
        True where the caller keeps its deliveries itself.

    Returns
    -------
    bool
        True when it is new.
    """
    row = {
        "alert_id": alert.id,
        "number": alert.number,
        "task_id": task_id,
        "origin": alert.origin,
        "transition": alert.transition,
        "rule": alert.rule,
        "severity": alert.severity,
        "venue": alert.venue,
        "symbol": alert.symbol,
        "ts_event_ns": alert.ts_event_ns,
        "body": alert.to_json(),
        "config_hash": alert.config_hash,
        "created_at": created_at,
        "routed": int(routed),
    }
    return insert_absent(connection, outbox, [row]) == 1


def _log(partition: Partition, offset: int) -> dict[str, str | int | None]:
    return log_source(partition.topic, partition.partition, offset)
