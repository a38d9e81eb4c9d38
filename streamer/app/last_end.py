"""How the process before ended, by the file it left, and what this one does about it."""

from __future__ import annotations

import time
from dataclasses import replace

import structlog

from alerts.alert import Alert
from alerts.clock import Clock
from streamer.notify.notifier import Notifier
from streamer.store.control_inputs import ControlOrder, add_control_input
from streamer.store.database import Database
from streamer.store.deliveries import StoreDeliveries
from streamer.store.service_alerts import raise_service_alert
from streamer.store.work_alerts import detection_stuck, detector_quarantined
from streamer.store.work_file import Deaths, LeftWork

log = structlog.get_logger()

_TOLD_LOOK_S = 0.1

DEATHS = 3
"""So many processes in a row that die inside the same detector at the same records quarantine it. One or two
are no proof: a process may be killed from outside at any moment."""


def heed_last_end(left: LeftWork | None, database: Database, clock: Clock) -> Deaths | None:
    """Tell what the process before died of, and quarantine a detector that is to blame.

    Doing it again changes nothing, so the file may be replaced afterwards.

    Parameters
    ----------
    left
        What that process was working on; None where it ended as it should.
    database, clock
        The open store, and wall-clock time.

    Returns
    -------
    Deaths or None
        The deaths in a row so far, for this process's own file.
    """
    if left is None:
        return None
    if left.ended == "asked":
        return left.deaths  # whoever asked did not wait: it neither counts as a death, nor ends their row
    deaths = None if left.ended else _deaths(left)
    reason = _reason(left, deaths)
    now = clock.now()
    with database.write() as connection:
        if left.ended:
            raise_service_alert(connection, detection_stuck(left, now), now)
        if reason is not None:
            key = f"process of {left.started_at}: {left.detector} {left.version}"
            order = ControlOrder("quarantine", left.detector, key, left.version, reason)
            add_control_input(connection, order, now)
            raise_service_alert(connection, _quarantined(left, reason, now), now)
    _say(left, deaths, reason)
    return deaths


def _quarantined(left: LeftWork, reason: str, now: float) -> Alert:
    return detector_quarantined((left.detector, left.version), left.started_at, reason, now, left.where)


def tell_of_stuck(left: LeftWork, database: Database, clock: Clock, notifier: Notifier) -> None:
    """Raise the alert that work does not go on, and wait until the receivers have it.

    Parameters
    ----------
    left
        What this process is working on.
    database, clock, notifier
        The open store, wall-clock time, and who delivers.
    """
    now, deliveries = clock.now(), StoreDeliveries(database)
    alert = detection_stuck(left, now)
    with database.write() as connection:
        raise_service_alert(connection, alert, now)
    notifier.wake()
    while not deliveries.told(alert.id):
        time.sleep(_TOLD_LOOK_S)


def _deaths(left: LeftWork) -> Deaths | None:
    """The deaths in a row inside one detector at the same records, with this one."""
    if not left.detector or not left.live or left.log is None or left.reloading:
        return None
    own = Deaths(left.detector, left.version, left.log, left.first, left.last, 1)
    before = left.deaths
    if before is None or replace(before, first=own.first, last=own.last, count=1) != own:
        return own
    overlaps = before.first <= own.last and own.first <= before.last
    return replace(own, count=before.count + 1) if overlaps else own


def _reason(left: LeftWork, deaths: Deaths | None) -> str | None:
    """Why a detector is to be quarantined; None where there is no proof."""
    if not left.detector or not left.live:
        return None
    if left.ended == "stuck":
        return f"it had not returned for {left.stuck_s} s at {left.where}"
    if left.ended == "held" and not left.reloading:
        return f"it did not return and let no other code run, at {left.where}"
    if deaths is not None and deaths.count >= DEATHS:
        return f"the process died {deaths.count} times in a row inside it, at {left.where}"
    return None


def _say(left: LeftWork, deaths: Deaths | None, reason: str | None) -> None:
    if left.ended:
        log.error("the last process was stuck", detector=left.detector or None, records=left.where or None)
    elif deaths is not None:
        log.warning(
            "the last process died inside a detector",
            detector=left.detector,
            records=left.where,
            times=deaths.count,
        )
    if reason is not None:
        log.error("detector quarantined in all logs", detector=left.detector, reason=reason)
