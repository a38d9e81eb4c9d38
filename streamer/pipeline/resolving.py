"""Resolves an episode that no event can resolve.

Its rule is gone, its instrument's clock was wrong, or its instrument is forgotten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from alerts.alert import Alert, AlertRule, Observation, over
from alerts.durations import spoken
from alerts.episodes import Closing
from alerts.rules import Rule
from alerts.severity import SEVERITIES
from streamer.messages.batch import Instrument
from streamer.messages.logs import Log
from streamer.messages.outcome import Transition
from streamer.messages.time_units import NS_PER_SECOND
from streamer.pipeline.clock_guard import ClockStep, Eviction
from streamer.pipeline.identity import EventReference
from streamer.pipeline.open_alerts import OpenAlert, episode_body

_NS = float(NS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an episode resolves.

    Parameters
    ----------
    kind
        Its name in the record of the decision.
    reason
        The same for people.
    ts_ns
        The event time of the resolve, ns.
    event
        The event that caused it; None if none did.
    """

    kind: str
    reason: str
    ts_ns: int
    event: EventReference | None = None

    @classmethod
    def clock_set_back(cls, step: ClockStep, event: EventReference) -> Cause:
        """The instrument's clock was wrong; an event has refuted it."""
        reason = f"its clock was wrong: its times went back by {spoken((step.before - step.to) / _NS)}"
        return cls("clock_set_back", reason, step.to, event)

    @classmethod
    def forgotten(cls, eviction: Eviction, newcomer: Instrument, event: EventReference) -> Cause:
        """The instrument gave up its place to another one, whose event it is."""
        unseen = spoken(eviction.unseen_ns / _NS)
        reason = f"it was unseen for {unseen}, and its place was needed for {' '.join(newcomer)}"
        return cls("forgotten", reason, eviction.now, event)


@dataclass(frozen=True, slots=True)
class EndedEpisode:
    """An episode that is to be resolved.

    Parameters
    ----------
    rule, instrument
        Whose it is.
    opened
        Its alert.
    closing
        The transition; see `Episodes.closing`.
    """

    rule: Rule
    instrument: Instrument
    opened: OpenAlert
    closing: Closing


def resolve(episode: EndedEpisode, log: Log, config_hash: str, cause: Cause) -> Transition:
    """The transition that resolves an episode, in this log and under this configuration."""
    event = cause.event or EventReference(log.key)
    rule, instrument = episode.rule, episode.instrument
    number, severity, extremes = episode.closing
    alert = Alert.detected(
        episode.opened.id,
        "resolved",
        number,
        AlertRule(rule.name, rule.version, SEVERITIES[severity], config_hash),
        Observation(
            ts_event_ns=cause.ts_ns,
            source=event.document(log),
            text=over(episode.opened.text, cause.reason),
            venue=instrument.venue,
            symbol=instrument.symbol,
            episode=episode_body(rule, episode.opened.began_ns, extremes),
        ),
    )
    decision = {
        "event": {"kind": cause.kind},
        "rule": {"when": rule.when, "settings": rule.summary},
        "versions": {"config_hash": config_hash, "rule_version": rule.version},
    }
    return Transition(
        alert_id=episode.opened.id,
        number=number,
        transition="resolved",
        rule=rule.name,
        severity=alert.severity,
        instrument=instrument,
        ts_event_ns=alert.ts_event_ns,
        body=alert.to_json(),
        decision=json.dumps(decision).encode(),
        offset=event.offset,
        index=event.index,
        source=event.source,
    )
