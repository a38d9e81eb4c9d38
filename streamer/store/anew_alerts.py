"""Alerts about detection that began anew, and about a store that is older than what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.alert import Alert, Observation, log_source
from alerts.service_alert import DETECTION_ANEW, STORE_OLDER, service_alert
from streamer.messages.logs import Log, Positions
from streamer.messages.time_units import NS_PER_SECOND

_NAMED = 10  # logs; a message must stay one that somebody reads


@dataclass(frozen=True, slots=True)
class BegunAnew:
    """A log whose detection began anew.

    Parameters
    ----------
    log
        The log, in its new generation.
    start
        Its first offsets, by member.
    told
        One past the last offsets that had been read before, by member.
    """

    log: Log
    start: Positions
    told: Positions


@dataclass(frozen=True, slots=True)
class OlderTask:
    """A task that is behind what is known of its log outside of the store.

    Parameters
    ----------
    log
        The log.
    reach
        One past the last offsets that the store knows to be read, by member.
    known
        One past the last offsets that Kafka knows were read, where more may have been; None where only its
        checkpoint files say that there was more.
    """

    log: Log
    reach: Positions
    known: Positions | None

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What distinguishes it."""
        known = self.known or tuple(-1 for _ in self.reach)
        return (*self.log.key, *(part for pair in zip(self.reach, known, strict=True) for part in pair))


def detection_anew(logs: Sequence[BegunAnew], how: str, now: float, config_hash: str = "") -> Alert:
    """Detection of logs began anew, as somebody asked for; one alert for all that begin together.

    Parameters
    ----------
    logs
        At least one.
    how
        What it does now, for people.
    now
        Wall-clock seconds.
    config_hash
        The configuration that runs.
    """
    names = [f"{each.log} from {_offsets(each.log, each.start)}" for each in logs]
    if any(first < end for each in logs for first, end in zip(each.start, each.told, strict=True)):
        then = "What was alerted before is not sent again; once it has come to where it was, episodes that "
        then += "are open then are told under new ids, and the old ones are resolved"
    else:
        then = "Models warm up, open episodes were resolved, and what was alerted before is not sent again"
    return service_alert(
        DETECTION_ANEW,
        tuple(part for each in logs for part in each.log.key),
        "warning",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=_source(logs[0].log, logs[0].start, len(logs)),
            values={"logs": float(len(logs))},
            text=f"detection began anew, {how}: {_some(names)}. {then}",
        ),
        config_hash,
    )


def store_older(
    identity: Sequence[str | int | float], why: str, tasks: Sequence[OlderTask], now: float
) -> Alert:
    """The store is older than what was read, or than it was itself.

    Parameters
    ----------
    identity
        What distinguishes this case.
    why
        What shows it, for people.
    tasks
        The logs that are behind, where they are known.
    now
        Wall-clock seconds.
    """
    names = [
        f"{each.log} goes on at {_offsets(each.log, each.reach)}"
        + ("" if each.known is None else f", and had been read at least to {_numbers(each.known)}")
        for each in tasks
    ]
    logs = f" {_some(names)}." if names else ""
    source = _source(tasks[0].log, tasks[0].reach, len(tasks)) if tasks else {}
    return service_alert(
        STORE_OLDER,
        tuple(identity),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=source,
            text=f"the store is older than it should be: {why}.{logs} What it lacks is detected again, "
            "with the same ids, where Kafka still holds it; what may have been sent already is looked up "
            "where a receiver can be asked. Silences added since, and what else people did, are lost",
        ),
    )


def _offsets(log: Log, positions: Positions) -> str:
    return f"offset{'s' if log.is_joined else ''} {_numbers(positions)}"


def _numbers(positions: Positions) -> str:
    return ", ".join(f"{position:,}" for position in positions)


def _source(log: Log, positions: Positions, count: int) -> dict[str, str | int | None]:
    if count == 1 and log.is_joined:
        return {"log": str(log)}
    if count == 1:
        return log_source(log.key.topic, log.key.partition, positions[0])
    return {"topic": log.key.topic, "partition": None, "offset": None, "index": None}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + more
