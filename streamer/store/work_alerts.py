"""Service alerts about work that did not go on, and about detectors that are quarantined because of it."""

from __future__ import annotations

from alerts.alert import Alert, Observation
from alerts.service_alert import DETECTION_STUCK, DETECTOR_QUARANTINED, service_alert
from streamer.messages.time_units import NS_PER_SECOND
from streamer.store.work_file import LeftWork


def detection_stuck(left: LeftWork, now: float) -> Alert:
    """Work did not go on, and the process was, or is about to be, ended.

    It is the same alert, whoever raises it: the process itself before its end, or the next one.
    """
    where = f" at {left.where}" if left.where else ""
    what = f"detector {left.detector} has not returned" if left.detector else "detection has not gone on"
    if left.ended == "held":
        what += ", and no other code could run"
        seconds = ""
    else:
        seconds = f" for {left.stuck_s} s"
    return service_alert(
        DETECTION_STUCK,
        (left.started_at,),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={"detector": left.detector or None, "records": left.where or None},
            text=f"{what}{seconds}{where}; the process ends, to be started again by its supervisor",
        ),
    )


def detector_quarantined(
    detector: tuple[str, str], cause_at: float, reason: str, now: float, where: str = ""
) -> Alert:
    """A detector as a whole is out of use.

    Parameters
    ----------
    detector
        Its name and version.
    cause_at
        When the cause came up, or the process began that died of it, in seconds; part of the identity.
    reason
        Why, for people.
    now
        Wall-clock seconds.
    where
        The records at which it happened.
    """
    name, version = detector
    return service_alert(
        DETECTOR_QUARANTINED,
        (cause_at, name, version),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={"detector": name, "records": where or None},
            text=f"detector {name} is quarantined in all logs: {reason}. It has no scores, all else "
            "goes on. Change its specification or its code, or lift it: "
            f"tapewatch models lift {name}",
        ),
    )
