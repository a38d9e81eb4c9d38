"""Alerts about logs: ended, replaced by others of their name, or with instruments in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alerts.alert import Alert, Observation, log_source
from alerts.service_alert import INSTRUMENT_SPLIT, LOG_ENDED, LOG_GAP, service_alert
from streamer.messages.batch import Instrument
from streamer.messages.logs import Log, name_of
from streamer.messages.records import Partition
from streamer.messages.time_units import NS_PER_SECOND

_NAMED = 10  # topics or partitions; a message must stay one that somebody reads


@dataclass(frozen=True, slots=True)
class ReplacedLog:
    """A partition that was read, the one that replaced it, and one past the last offset read of the old one.

    `log` is the joined log that it belongs to, which keeps its state; empty where it is a log of its own.
    """

    old: Partition
    new: Partition
    reach: int
    log: str = ""


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Why a log is not read any more, and what happens should it come back; both for people."""

    why: str
    outlook: str


DELETED = LogEnd("the topic was deleted", "a new topic of that name is read from its beginning")
JOINED_ANEW = LogEnd(
    "another log reads their topics since `source.join` was changed",
    "that one goes on where they were, and models warm up anew",
)
JOINED_WITH_NEW = LogEnd(
    "another log of the same join reads them now, together with partitions that are new",
    JOINED_ANEW.outlook,
)
LEFT_OUT = LogEnd(
    "the topic is no longer in the configuration (source.topics)",
    "put back, it is read on from where it was, and models warm up anew",
)


def log_ended(
    logs: Sequence[tuple[int, Partition]], end: LogEnd, resolved: int, now: float, config_hash: str = ""
) -> Alert:
    """Logs are not read any more; one alert, however many end together.

    Parameters
    ----------
    logs
        Number of the task, and the log, of each that has ended; at least one.
    end, resolved
        Why, and how many open episodes were resolved by it.
    now
        Wall-clock seconds.
    config_hash
        The configuration that runs.
    """
    topics = sorted({log.topic for _, log in logs})
    only = logs[0][1] if len(logs) == 1 else None
    episodes = f"{resolved or 'no'} open episode{' was' if resolved == 1 else 's were'} resolved"
    return service_alert(
        LOG_ENDED,
        tuple(task_id for task_id, _ in logs),
        "warning",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={
                "topic": topics[0] if len(topics) == 1 else None,
                "partition": None if only is None else only.partition,
                "offset": None,
                "index": None,
            },
            values={"logs": float(len(logs)), "episodes": float(resolved)},
            text=f"{_logs_text([log for _, log in logs])} not read any more: {end.why}; "
            f"{episodes}. {end.outlook[:1].upper()}{end.outlook[1:]}",
        ),
        config_hash,
    )


def log_replaced(logs: Sequence[ReplacedLog], now: float, config_hash: str = "") -> Alert:
    """A topic was deleted, and another was created under its name.

    Parameters
    ----------
    logs
        Its partitions that were read; at least one.
    now
        Wall-clock seconds.
    config_hash
        The configuration that runs.
    """
    first = logs[0]
    identity = [part for each in logs for part in (*each.old, *each.new)]
    if len(logs) == 1:
        name, lost = f"{first.old.topic}[{first.old.partition}]", f"offset {first.reach}"
    else:
        name = f"{first.old.topic} ({len(logs)} partitions)"
        lost = "offsets " + _some([f"{each.reach} of [{each.old.partition}]" for each in logs])
    return service_alert(
        LOG_GAP,
        tuple(identity),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=log_source(first.old.topic, first.old.partition, first.reach)
            if len(logs) == 1
            else {"topic": first.old.topic, "partition": None, "offset": None, "index": None},
            text=f"{name} was deleted and created anew; what it held from {lost} on is lost, detection "
            + (f"of {first.log} goes on with the new one" if first.log else "starts afresh with the new one"),
        ),
        config_hash,
    )


def member_gone(log: Log, member: Partition, reach: int, now: float, config_hash: str = "") -> Alert:
    """A partition of a joined log is not there any more; the log goes on without it.

    Parameters
    ----------
    log, member
        The log, and its partition.
    reach
        One past the last offset that was read of it.
    now
        Wall-clock seconds.
    config_hash
        The configuration that runs.
    """
    return service_alert(
        LOG_GAP,
        (*log.key, *member, "gone", reach),
        "critical",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source=log_source(member.topic, member.partition, reach),
            text=f"{name_of(member)} is not there any more, read up to offset {reach}; {log} goes on without "
            "it, and with what it brings should it be back",
        ),
        config_hash,
    )


def instrument_split(instrument: Instrument, topics: Sequence[str], text: str, now: float) -> Alert:
    """Instruments are in several logs, each of which sees only a part of them; one alert for the topics.

    Parameters
    ----------
    instrument
        One of them.
    topics
        The topics of the logs.
    text
        Which instruments and logs, what follows, and what to do about it.
    now
        Wall-clock seconds.
    """
    return service_alert(
        INSTRUMENT_SPLIT,
        tuple(sorted(topics)),
        "warning",
        Observation(
            ts_event_ns=int(now * NS_PER_SECOND),
            source={"topic": "+".join(topics), "partition": None, "offset": None, "index": None},
            text=text,
            venue=instrument.venue,
            symbol=instrument.symbol,
        ),
    )


def _logs_text(logs: Sequence[Partition]) -> str:
    """The names of logs, by topic, and the verb that follows."""
    counts: dict[str, list[int]] = {}
    for log in sorted(logs):
        counts.setdefault(log.topic, []).append(log.partition)
    names = [
        f"{topic}[{partitions[0]}]" if len(partitions) == 1 else f"{topic} ({len(partitions)} partitions)"
        for topic, partitions in counts.items()
    ]
    return f"{_some(names)} {'is' if len(names) == 1 else 'are'}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
