"""Compiles a configuration into a plan; errors carry their place in the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from alerts.language.errors import ExpressionError
from alerts.rules import Rule, compile_rule
from detectors.detector_settings import DetectorSettings
from detectors.features import LogFeature, UnknownFeatureError, parse_feature, parse_log_feature
from streamer.config.errors import Problem
from streamer.config.file import ConfigFile
from streamer.config.hashing import canonical, detect_document, hash_of, settings_from_detect
from streamer.config.settings import Settings
from streamer.decoding.event_fields import DERIVED, FIELDS
from streamer.decoding.formats import build_format
from streamer.errors import TapewatchError
from streamer.pipeline.detector_models import ModelCheck, built_here
from streamer.pipeline.doubts import rule_doubts
from streamer.pipeline.drift_plan import compile_drift
from streamer.pipeline.plan import Feed, Plan
from streamer.pipeline.symbols import PlanSymbols


def compile_plan(config: ConfigFile, models: ModelCheck = built_here) -> Plan:
    """The plan of a configuration.

    Parameters
    ----------
    config
        The configuration.
    models
        Checks the models of the detectors whose inputs are right.

    Raises
    ------
    ConfigError
        With every expression, feature, text and detector that is wrong, each with its place in the file.
    """
    settings = config.settings
    problems, warnings = _detector_problems(config, models)
    rules = _rules(config, problems)
    drift = compile_drift(config, problems)
    if problems:
        config.fail(problems)
    if config.text:  # nobody mends a stored document
        symbols = PlanSymbols(settings.detectors)
        warnings += [doubt for rule in rules for doubt in rule_doubts(config, rule, symbols)]
    document = detect_document(settings)
    feeds = _feeds(settings)
    return Plan(
        config_hash=hash_of(document),
        document=canonical(document),
        feeds=feeds,
        features=_features(settings.detectors.values(), rules, drift.features),
        log_features=_log_features(rules),
        detectors=dict(settings.detectors),
        rules=rules,
        inactive=_inactive(rules, settings.detectors, feeds),
        max_ahead_ns=settings.engine.max_ahead_ns,
        max_instruments=settings.engine.max_instruments,
        forget_after_ns=settings.engine.forget_after_ns,
        flood=settings.engine.flood,
        drift=drift,
        warnings=tuple(sorted(warnings)),
    )


def compile_document(text: str) -> Plan:
    """The plan of a detect document from the store.

    Raises
    ------
    TapewatchError
        When this version cannot read it.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        return compile_plan(ConfigFile.of(settings_from_detect(document)))
    except (ValueError, KeyError) as error:
        raise TapewatchError(
            f"this version cannot read a configuration in the store ({error}): let the version that ran "
            "with it stop cleanly (SIGTERM), or start with a new store"
        ) from error


def _rules(config: ConfigFile, problems: list[Problem]) -> tuple[Rule, ...]:
    symbols = PlanSymbols(config.settings.detectors)
    rules = []
    for name, settings in config.settings.rules.enabled.items():
        try:
            rules.append(compile_rule(name, settings, symbols))
        except ExpressionError as error:
            path = ("rules", name, *error.path)
            problems.append(config.problem(path, error.message, error.line, error.column))
    return tuple(rules)


def _detector_problems(config: ConfigFile, models: ModelCheck) -> tuple[list[Problem], list[Problem]]:
    """Problems with detectors, and warnings."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    usable = {}
    for name, settings in config.settings.detectors.items():
        known_problems = len(problems)
        for position, feature in enumerate(settings.features):
            path = ("detectors", name, "features", position)
            problems += _input_problems(config, path, feature)
        if settings.target is not None:
            problems += _input_problems(config, ("detectors", name, "target"), settings.target)
        if len(problems) == known_problems:
            usable[name] = settings
    for name, result in models(usable).items():
        if result.error is not None:
            unset = result.path[:1] == ("params",) and not usable[name].params
            place = ("model",) if unset else result.path
            problems.append(config.problem(("detectors", name, *place), result.error))
        elif result.untried is not None:
            message = f"not tried: as it is built it would {result.untried}, which only `run` lets it do"
            warnings.append(config.problem(("detectors", name, "model"), message))
        elif result.failing is not None:
            message = f"it fails on the first row that it learns ({result.failing}): check its params"
            warnings.append(config.problem(("detectors", name, "model"), message))
    return problems, warnings


def _input_problems(config: ConfigFile, path: tuple[str | int, ...], name: str) -> list[Problem]:
    if name in DERIVED or (name in FIELDS and FIELDS[name].type == "number"):
        return []
    try:
        parse_feature(name)
    except UnknownFeatureError as error:
        return [config.problem(path, str(error))]
    return []


def _feeds(settings: Settings) -> tuple[Feed, ...]:
    topics = [
        Feed(glob, build_format(topic.format), topic.venue, frozenset(topic.ignore))
        for topic in settings.source.topics
        for glob in topic.globs
    ]
    files = [
        Feed(file.match, build_format(file.format), file.venue, frozenset(file.ignore))
        for file in settings.source.files
    ]
    return tuple(topics + files)


def _features(
    detectors: Iterable[DetectorSettings], rules: Sequence[Rule], watched: Iterable[str]
) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for detector in detectors:
        names.update(dict.fromkeys(detector.features))
        if detector.target is not None:
            names[detector.target] = None
    for rule in rules:
        names.update(dict.fromkeys(rule.names))
    names.update(dict.fromkeys(watched))
    return tuple(name for name in names if _is_feature(name) and parse_log_feature(name) is None)


def _log_features(rules: Sequence[Rule]) -> tuple[LogFeature, ...]:
    names = dict.fromkeys(name for rule in rules for name in rule.names if _is_feature(name))
    found = (parse_log_feature(name) for name in names)
    return tuple(feature for feature in found if feature is not None)


def _is_feature(name: str) -> bool:
    return not (name in FIELDS or name in DERIVED or name in ("venue", "symbol") or "." in name)


def _inactive(
    rules: Sequence[Rule], detectors: Mapping[str, DetectorSettings], feeds: Sequence[Feed]
) -> dict[str, tuple[str, ...]]:
    """Rules whose condition needs fields that no feed provides, with those fields."""
    provided: set[str] = set()
    for feed in feeds:
        provided = provided.union(*feed.format.provides.values())
    inactive = {}
    for rule in rules:
        missing = tuple(name for name in fields_of(rule.condition.names, detectors) if name not in provided)
        if missing:
            inactive[rule.name] = missing
    return inactive


def fields_of(names: Iterable[str], detectors: Mapping[str, DetectorSettings]) -> tuple[str, ...]:
    """The event fields that fields, features and detectors' outputs need, each once, in order.

    Examples
    --------
    >>> fields_of(["size", "spread_bps", "notional"], {})
    ('size', 'ask_price', 'bid_price', 'price')
    """
    fields: dict[str, None] = {}
    for name in names:
        detector = name.partition(".")[0] if "." in name else None
        if detector is not None:
            inputs = detectors[detector].features
            fields.update(dict.fromkeys(fields_of(inputs, {})))
        elif name in DERIVED:
            fields.update(dict.fromkeys(DERIVED[name].inputs))
        elif name in FIELDS:
            fields[name] = None
        elif name not in ("venue", "symbol") and parse_log_feature(name) is None:
            fields.update(dict.fromkeys(fields_of(sorted(parse_feature(name).needs), {})))
    return tuple(fields)
