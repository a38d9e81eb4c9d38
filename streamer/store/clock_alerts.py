"""Alerts about the service for what the fold notices about its input: clocks, and too many instruments."""

from __future__ import annotations

from alerts.alert import Alert, Observation, log_source, rfc3339
from alerts.durations import spoken
from alerts.service_alert import CLOCK_SET_BACK, INSTRUMENTS_FULL, TIME_FAR_OFF, service_alert
from streamer.messages.logs import Log
from streamer.messages.notices import (
    ClockSetBack,
    FarOffTime,
    InstrumentsFull,
    MoreClocksSetBack,
    Notice,
)
from streamer.messages.time_units import NS_PER_SECOND

_REMEDY = "put its producer's clock right, or set engine.max_ahead above what the feed is out of order by"


def notice_text(notice: Notice) -> str:
    """A notice for people: what was wrong, what follows, and what to do about it."""
    if isinstance(notice, ClockSetBack):
        went = spoken((notice.before_ns - notice.to_ns) / NS_PER_SECOND)
        return (
            f"the clock of {' '.join(notice.instrument)} was wrong: it stood at {rfc3339(notice.before_ns)} "
            f"and was set back by {went} to {rfc3339(notice.to_ns)}; {_REMEDY}"
        )
    if isinstance(notice, MoreClocksSetBack):
        return (
            "the clocks of more instruments were wrong and were set back in the same minute; from offset "
            f"{notice.offset} on they are only counted"
        )
    if isinstance(notice, InstrumentsFull):
        return _full_text(notice)
    return _far_off_text(notice)


def _full_text(notice: InstrumentsFull) -> str:
    newcomer = " ".join(notice.newcomer)
    full = f"all {notice.limit:,} places for instruments (engine.max_instruments) are taken"
    if notice.forgot is None:
        return (
            f"{full}, and none was unseen for engine.forget_after: events of {newcomer} are dead letters; "
            f"{_events(notice.refused)} of further instruments refused so far"
        )
    unseen = spoken(notice.unseen_ns / NS_PER_SECOND)
    return (
        f"{full}: {' '.join(notice.forgot)}, unseen for {unseen}, was forgotten for {newcomer}; "
        f"{notice.forgotten:,} forgotten so far"
    )


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


def _far_off_text(notice: FarOffTime) -> str:
    dated = f"an event of {' '.join(notice.instrument)} is dated {rfc3339(notice.ts_ns)}"
    if notice.reference_ns is not None:
        dated += f", a year or more from {rfc3339(notice.reference_ns)}, its record's time or the log's"
    dated += "; it is used as it is, and others like it are only counted"
    if notice.fits:
        dated += f". If it is not from then, its unit is {notice.fits} and not {notice.unit}"
    return dated


def clock_alert(log: Log, notice: Notice, config_hash: str = "") -> Alert:
    """The alert of a notice; the same notice of the same log gives the same id.

    Parameters
    ----------
    log
        Whose event it is.
    notice
        What the fold noticed.
    config_hash
        The configuration it was noticed under.
    """
    partition = log.members[notice.source]
    instrument = index = None
    if isinstance(notice, InstrumentsFull):
        instrument, index = notice.forgot or notice.newcomer, notice.index
    elif not isinstance(notice, MoreClocksSetBack):
        instrument, index = notice.instrument, notice.index
    values: dict[str, float | str | None] = {}
    identity: tuple[str | int, ...]
    if isinstance(notice, ClockSetBack):
        rule, ts, identity = CLOCK_SET_BACK, notice.to_ns, (*notice.instrument, notice.offset, notice.index)
    elif isinstance(notice, MoreClocksSetBack):
        rule, ts, identity = CLOCK_SET_BACK, notice.ts_ns, ("more", notice.minute, notice.offset)
    elif isinstance(notice, InstrumentsFull):
        rule, ts = INSTRUMENTS_FULL, notice.ts_ns
        identity = ("refused" if notice.forgot is None else "forgotten", notice.minute, notice.offset)
        values = {"forgotten": float(notice.forgotten), "refused": float(notice.refused)}
    else:
        rule, ts, identity = TIME_FAR_OFF, notice.ts_ns, (*notice.instrument, notice.offset, notice.index)
    return service_alert(
        rule,
        (*partition, *identity),
        "warning",
        Observation(
            ts_event_ns=ts,
            source=log_source(partition.topic, partition.partition, notice.offset, index),
            text=f"{log}: {notice_text(notice)}",
            values=values,
            venue=None if instrument is None else instrument.venue,
            symbol=None if instrument is None else instrument.symbol,
        ),
        config_hash,
    )
