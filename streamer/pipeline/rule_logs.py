"""Which log gives a rule all that it names: what stands in two logs never meets, since state is per log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.rules import Rule
from detectors.detector_settings import DetectorSettings
from detectors.features import parse_feature, parse_log_feature
from streamer.decoding.event_fields import DERIVED, FIELDS, FIELDS_BY_KIND, KIND_NAMES
from streamer.messages.batch import Kind
from streamer.messages.logs import name_of
from streamer.messages.records import Partition

LogFields = Mapping[str, frozenset[str]]
"""The kinds of events of a log, with the fields that events of each have."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """Why no log gives a rule all that it names.

    Parameters
    ----------
    missing
        Fields that are in no log, and kinds of events, such as ``order events``; empty where each name alone
        is in some log.
    apart
        Which names stand in which logs, in words; empty where something is missing.
    kinds_missing
        Whether all that is missing are kinds of events.
    """

    missing: tuple[str, ...] = ()
    apart: str = ""
    kinds_missing: bool = False


def unmet(
    rule: Rule, detectors: Mapping[str, DetectorSettings], logs: Mapping[str, LogFields]
) -> Unmet | None:
    """What keeps a rule from ever being evaluated with all its names; None where a log has all of them.

    Parameters
    ----------
    rule, detectors
        The rule, and what it may name.
    logs
        What each log gives, by its name.

    Examples
    --------
    >>> from streamer.config.load import load_text
    >>> from streamer.pipeline.compile import compile_plan
    >>> source = "source: {files: [{match: '*', format: tapewatch}]}"
    >>> rules = "rules: {r: {when: size > 9 and order_rate_10s > 5, on: trade}}"
    >>> plan = compile_plan(load_text(source + chr(10) + rules))
    >>> trades, orders = {"trade": frozenset({"price", "size"})}, {"order": frozenset({"action", "size"})}
    >>> unmet(plan.rules[0], {}, {"trades": trades, "orders": orders}).apart
    'size (trades) and order_rate_10s (orders) never meet; join: [trades, orders] would make one log of them'
    """
    names = [name for name in rule.condition.names if name not in ("venue", "symbol")]
    given = {log: frozenset(_available(names, rule, detectors, fields)) for log, fields in logs.items()}
    if any(len(found) == len(names) and _on_one_kind(names, rule, logs[log]) for log, found in given.items()):
        return None
    lacking = [name for name in names if not any(name in found for found in given.values())]
    if lacking:
        return _missing(lacking, detectors, logs)
    kinds = [KIND_NAMES[kind] for kind in _event_kinds(rule)]
    if (
        kinds
        and Kind.TIMER not in rule.kinds
        and not any(kind in log for log in logs.values() for kind in kinds)
    ):
        return Unmet(tuple(f"{kind} events" for kind in kinds), kinds_missing=True)
    return Unmet(apart=_apart(names, given))


def logs_of(statuses: Sequence[Mapping[str, Any]]) -> dict[str, LogFields]:
    """What each log has given so far, by the last status of each task.

    A log is called by its topic, and by its partition where its topic has several.
    """
    topics = [status["topic"] for status in statuses if "topic" in status]
    logs: dict[str, LogFields] = {}
    for number, status in enumerate(statuses):
        topic = status.get("topic", str(number))
        name = topic if topics.count(topic) <= 1 else name_of(Partition(topic, "", status["partition"]))
        seen = frozenset(status["seen"])
        # statuses of older versions do not tell the kinds
        kinds = status.get("kinds", KIND_NAMES)
        logs[name] = {kind: FIELDS_BY_KIND[kind] & seen for kind in kinds}
    return logs


def _available(
    names: Iterable[str], rule: Rule, detectors: Mapping[str, DetectorSettings], log: LogFields
) -> list[str]:
    return [name for name in names if _is_given(name, rule, detectors, log)]


def _is_given(name: str, rule: Rule, detectors: Mapping[str, DetectorSettings], log: LogFields) -> bool:
    if "." in name:
        detector = detectors[name.partition(".")[0]]
        return any(kind in log for kind in detector.on) and all(
            _is_input(each, log) for each in detector.features
        )
    if name in FIELDS or name in DERIVED:
        return any(_inputs(name) <= log.get(KIND_NAMES[kind], frozenset()) for kind in _event_kinds(rule))
    return _is_input(name, log)


def _is_input(name: str, log: LogFields) -> bool:
    """Whether a log gives a feature, or a field that a detector takes."""
    every = frozenset[str]().union(*log.values())
    if name in FIELDS or name in DERIVED:
        return _inputs(name) <= every
    if parse_log_feature(name) is not None:
        return True
    feature = parse_feature(name)
    feeding = [kind for kind in feature.fed_by if kind == Kind.TIMER or KIND_NAMES[kind] in log]
    return bool(feeding) and all(_inputs(need) <= every for need in feature.needs)


def _on_one_kind(names: Iterable[str], rule: Rule, log: LogFields) -> bool:
    """Whether events of one of the rule's kinds carry all the fields that it names."""
    fields = [name for name in names if name in FIELDS or name in DERIVED]
    if not fields:
        return Kind.TIMER in rule.kinds or any(KIND_NAMES[kind] in log for kind in _event_kinds(rule))
    return any(
        all(_inputs(name) <= log.get(KIND_NAMES[kind], frozenset()) for name in fields)
        for kind in _event_kinds(rule)
    )


def _event_kinds(rule: Rule) -> list[int]:
    return [kind for kind in sorted(rule.kinds) if kind != Kind.TIMER]


def _inputs(name: str) -> frozenset[str]:
    return frozenset(DERIVED[name].inputs) if name in DERIVED else frozenset({name})


def _missing(
    names: Sequence[str], detectors: Mapping[str, DetectorSettings], logs: Mapping[str, LogFields]
) -> Unmet:
    every = frozenset[str]().union(*(fields for log in logs.values() for fields in log.values()))
    needed = dict.fromkeys(field for name in names for field in _fields_of(name, detectors))
    fields = tuple(field for field in needed if field not in every)
    kinds_there = {kind for log in logs.values() for kind in log}
    possible = [kind for kind in KIND_NAMES if kind not in kinds_there]
    by_kind = bool(fields) and all(
        not any(field in FIELDS_BY_KIND[kind] for kind in kinds_there) for field in fields
    )
    if fields and not by_kind:
        return Unmet(fields)
    kinds = [kind for kind in possible if _any_feeds(names, kind, detectors)]
    return Unmet(fields or tuple(f"{kind} events" for kind in kinds) or tuple(names), kinds_missing=True)


def _any_feeds(names: Iterable[str], kind: str, detectors: Mapping[str, DetectorSettings]) -> bool:
    number = KIND_NAMES.index(kind)
    for name in names:
        if "." in name:
            if kind in detectors[name.partition(".")[0]].on:
                return True
        elif name in FIELDS or name in DERIVED:
            if _inputs(name) <= FIELDS_BY_KIND[kind]:
                return True
        elif parse_log_feature(name) is None and number in parse_feature(name).fed_by:
            return True
    return False


def _fields_of(name: str, detectors: Mapping[str, DetectorSettings]) -> list[str]:
    if "." in name:
        inputs = detectors[name.partition(".")[0]].features
        return [field for each in inputs for field in _fields_of(each, {})]
    if name in FIELDS or name in DERIVED:
        return sorted(_inputs(name))
    if parse_log_feature(name) is not None:
        return []
    return sorted(field for need in parse_feature(name).needs for field in _inputs(need))


def _apart(names: Sequence[str], given: Mapping[str, frozenset[str]]) -> str:
    """The log with most of the names, and where the others are."""
    base = max(given, key=lambda log: len(given[log]))
    elsewhere: dict[str, list[str]] = {}
    for name in names:
        if name not in given[base]:
            elsewhere.setdefault(next(log for log in given if name in given[log]), []).append(name)
    if not elsewhere:
        if len(names) == 1:
            return f"{names[0]} is never on an event that the rule is evaluated on"
        return f"{' and '.join(names)} are never on one event"
    here = [name for name in names if any(name not in given[log] for log in elsewhere)]
    parts = sorted([(base, here), *elsewhere.items()], key=lambda part: names.index(part[1][0]))
    where = " and ".join(f"{', '.join(found)} ({log})" for log, found in parts)
    return f"{where} never meet; join: {_join_of(log for log, _ in parts)} would make one log of them"


def _join_of(logs: Iterable[str]) -> str:
    """The join that makes one log of several, as it is written."""
    topics = dict.fromkeys(topic for log in logs for topic in log.partition("[")[0].split("+"))
    listed = f"[{', '.join(topics)}]"
    return listed if len(topics) > 1 else f"{{topics: {listed}, partitions: all}}"
