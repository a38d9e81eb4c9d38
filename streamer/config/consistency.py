"""Checks how settings fit together, beyond what each model checks itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from alerts.durations import duration_s
from alerts.receivers.file import FileReceiverSettings
from alerts.stages.route import RouteError, Router, RouteSettings
from alerts.suggestions import did_you_mean
from streamer.config.errors import Path, Problem
from streamer.config.file import ConfigFile
from streamer.config.join_checks import check_joins, check_unused_wait
from streamer.config.settings import Settings


def check_settings(config: ConfigFile) -> tuple[list[Problem], list[Problem]]:
    """Settings that contradict each other, and those that are probably a mistake.

    Returns
    -------
    problems, warnings
        Both with positions; problems make the configuration unusable, warnings do not.
    """
    problems = [
        *_sources(config),
        *check_joins(config),
        *_routes(config),
        *_heartbeat(config),
        *_duplicates(config),
    ]
    warnings = [
        *check_unused_wait(config),
        *_unrouted(config),
        *_without_effect(config),
        *_flap_beyond_keep(config),
    ]
    return problems, warnings


def _sources(config: ConfigFile) -> Iterator[Problem]:
    source = config.settings.source
    if not source.topics and not source.files:
        if source.kafka is None:
            yield config.key_problem(("source",), "there is nothing to read: give topics or files")
        else:
            yield config.key_problem(("source", "kafka"), "no topic is read: give source.topics")
    elif source.topics and source.kafka is None:
        yield config.key_problem(
            ("source", "topics"),
            "the broker is missing: give source.kafka, such as {bootstrap: localhost:9092}",
        )
    elif source.kafka is not None and not source.topics:
        yield config.key_problem(
            ("source", "kafka"), "no topic is read: give source.topics, or leave kafka out"
        )
    for section, globs in _globs(config.settings):
        seen: dict[str, str] = {}
        for number, entry_globs in enumerate(globs):
            path: Path = ("source", section, number, "match")
            for glob in entry_globs:
                if glob in seen:
                    yield config.problem(path, f"'{glob}' is already read by {seen[glob]}")
                seen.setdefault(glob, f"source.{section}[{number}]")


def _globs(settings: Settings) -> Iterator[tuple[str, list[Sequence[str]]]]:
    yield "topics", [topic.globs for topic in settings.source.topics]
    yield "files", [(file.match,) for file in settings.source.files]


def _routes(config: ConfigFile) -> Iterator[Problem]:
    try:
        Router(config.settings.route, tuple(config.settings.receivers))
    except RouteError as error:
        for problem in error.problems:
            yield config.problem(("route", *problem.path), problem.message, problem.line, problem.column)
    for path, names in _branches(config.settings.route, ("route",)):
        for number, name in enumerate(names):
            if name in names[:number]:
                yield config.problem((*path, "to", number), f"'{name}' is listed twice")


def _heartbeat(config: ConfigFile) -> Iterator[Problem]:
    heartbeat, known = config.settings.heartbeat, config.settings.receivers
    for name in () if heartbeat is None else heartbeat.to:
        if name not in known:
            suggestion = did_you_mean(name, known)
            yield config.problem(("heartbeat", "to"), f"there is no receiver '{name}'{suggestion}")


def _branches(route: RouteSettings, path: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    if route.to is not None:
        yield path, route.to
    for number, branch in enumerate(route.routes):
        yield from _branches(branch, (*path, "routes", number))  # type: ignore[arg-type]


def _duplicates(config: ConfigFile) -> Iterator[Problem]:
    sets = config.settings.rules.extends
    for number, name in enumerate(sets):
        if name in sets[:number]:
            yield config.problem(("rules", "extends", number), f"'{name}' is listed twice")
    writers: dict[str, str] = {}
    for name, receiver in config.settings.receivers.items():
        if isinstance(receiver.of_kind, FileReceiverSettings):
            path = str(receiver.of_kind.path)
            if path in writers:
                place = ("receivers", name, receiver.kind, "path")
                yield config.problem(place, f"receivers.{writers[path]} already writes this file")
            writers.setdefault(path, name)


def _unrouted(config: ConfigFile) -> Iterator[Problem]:
    settings = config.settings
    if settings.route.to is None:  # every receiver gets the alerts that no branch matches
        return
    routed = {name for _, names in _branches(settings.route, ("route",)) for name in names}
    if settings.heartbeat is not None:
        routed.update(settings.heartbeat.to)
    for name in settings.receivers:
        if name not in routed:
            yield config.key_problem(("receivers", name), "no route leads to this receiver")


def _flap_beyond_keep(config: ConfigFile) -> Iterator[Problem]:
    kept = config.settings.keep.alerts
    for name, rule in config.settings.rules.enabled.items():
        if rule.flap and duration_s(rule.flap) > duration_s(kept):
            yield config.problem(
                ("rules", name, "flap"),
                f"an episode may come back after {rule.flap}, but keep.alerts deletes what is over after "
                f"{kept}: its beginning is gone then; keep alerts for longer, or shorten flap",
            )


def _without_effect(config: ConfigFile) -> Iterator[Problem]:
    settings = config.settings
    rules = settings.rules.enabled
    watched = set(settings.drift.watch)
    if not rules and not watched:
        yield config.key_problem(("rules",), "there are no rules, so nothing can raise an alert")
        return
    texts = [
        text
        for rule in rules.values()
        for text in (rule.when, rule.text or "", *rule.escalate.values())
        if text
    ]
    for name in settings.detectors:
        reference = re.compile(rf"(?<![\w.]){re.escape(name)}\s*\.\s*(score|rarity)\b")
        if f"{name}.score" not in watched and not any(reference.search(text) for text in texts):
            yield config.key_problem(
                ("detectors", name), f"no rule names {name}.score or {name}.rarity, so it raises no alert"
            )
    if not settings.receivers:
        yield config.key_problem(("receivers",), "there are no receivers: alerts are kept in the store only")
