"""`tapewatch check`: validates the configuration, reaches its topics, and shows each rule's state."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from alerts.durations import spoken
from alerts.receivers.safe_console import LineTable
from streamer.cli.clock_counts import clock_lines
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, out, say
from streamer.config.errors import ConfigError
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError, UsageError

if TYPE_CHECKING:
    from streamer.pipeline.plan import Plan
    from streamer.pipeline.rule_rates import RuleRate
    from streamer.store.database import Database

_Answer = TypeVar("_Answer")


def check(
    config: Config = DEFAULT_CONFIG,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check the file only: no secrets, no broker, no receivers.")
    ] = False,
) -> None:
    """Check the configuration, its secrets, the broker and the topics, and list every rule's state.

    Receivers are built from their settings and secrets, but nothing is sent to them. Of each partition the
    oldest and the newest records are read; damaged ones, or a missing codec, are a problem. A rule is active,
    warming (it waits for a detector or a field, by the daemon's last checkpoint), or inactive (it names
    fields that no topic can provide), with the reason; so is every name that is watched for drift. Once the
    daemon has run, it says how many clocks of the input were wrong, and a table shows how often each rule has
    fired, and how often a rule on a rarity was expected to. For each detector it shows the model, what is
    left of its warm-up, and the cost per event, measured on this machine while you wait.

    Models that are given by import name are built in another process, with limits of time and memory. With
    --offline they can write no file, start no process and reach no network there.

    Example: `tapewatch check -c binance.yaml`
    """
    from streamer.pipeline.drift_states import drift_states
    from streamer.pipeline.rule_rates import rule_rates
    from streamer.pipeline.rule_states import rule_states

    loaded = load_config(config)
    plan, costs = _compiled(loaded, offline=offline)
    for warning in sorted({*loaded.warnings, *plan.warnings}):
        say(f"warning: {warning}")
    out(f"{config}: OK (configuration {plan.config_hash})")
    problems = [] if offline else _try_connections(loaded)
    table = LineTable("rule", "state", "reason")
    statuses = _statuses(loaded)
    timers = loaded.settings.engine.ticks != "off"
    for state in (*rule_states(plan, statuses, timers=timers), *drift_states(plan, statuses)):
        table.add_row(state.rule, state.state, state.reason)
    out(table)
    for status in statuses:
        for line in clock_lines(status.get("clocks", {})):
            out(f"{status['topic']}[{status['partition']}]: {line}")
    unused = _unused(loaded)
    if unused:
        out(f"known but not used, and no dead letters: {unused}")
    rates = rule_rates(plan, statuses)
    if rates:
        out(_rate_table(rates))
    if plan.detectors:
        out(_detector_table(plan, statuses, costs))
    if problems:
        wrong = any(isinstance(problem, UsageError) for problem in problems)
        lines = [line for problem in problems for line in problem.lines]
        raise (UsageError if wrong else TapewatchError)(*lines)


def _compiled(loaded: ConfigFile, *, offline: bool) -> tuple[Plan, Mapping[str, float | None]]:
    """The plan, and what models that are given by import name cost; those run in another process only."""
    from streamer.pipeline.compile import compile_plan
    from streamer.pipeline.detector_models import foreign, tried_only
    from streamer.pipeline.model_trial import ModelTrial

    named = foreign(loaded.settings.detectors)
    with ModelTrial(named, hands_off=offline, costs=not offline) as trial:
        plan = compile_plan(loaded, tried_only(trial))
        results = trial.results()
    return plan, {name: result.cost_us for name, result in results.items()}


def _rate_table(rates: Sequence[RuleRate]) -> LineTable:
    table = LineTable("rule", "alerts so far", "watched", "per day", "expected", "actual / expected")
    for rate in rates:
        per, of = (" per instrument", " of instruments") if rate.requested else ("", "")
        watched = spoken(max(rate.instrument_s.values(), default=0.0) if rate.requested else rate.watched_s)
        per_day = "" if rate.per_day is None else f"{_figure(rate.per_day)}{per}"
        expected = f"{_figure(rate.requested_per_day)}{per}" if rate.requested else ""
        ratio = f"{rate.fired / rate.expected:.2f}" if rate.expected > 0 else ""
        table.add_row(rate.rule, f"{rate.fired:,}", f"{watched}{of}", per_day, expected, ratio)
    return table


def _figure(number: float) -> str:
    """Two significant digits, or all those before the decimal point.

    Examples
    --------
    >>> _figure(0.0123), _figure(1.0), _figure(1234.5)
    ('0.012', '1', '1,234')
    """
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _detector_table(
    plan: Plan, statuses: Sequence[Mapping[str, Any]], costs: Mapping[str, float | None]
) -> LineTable:
    from streamer.pipeline.compiling import shown
    from streamer.pipeline.costs import cost_us
    from streamer.pipeline.detector_states import detector_states

    table = LineTable("detector", "model", "warm-up left", "us per event (measured here)")
    for state in detector_states(plan, statuses):
        if state.name in costs:
            cost = costs[state.name]
        else:
            with shown(CompileBar()):
                cost = cost_us(state.name, plan.detectors[state.name])
        table.add_row(state.name, state.model, state.warm_up, _cost(cost))
    return table


def _cost(cost_us: float | None) -> str:
    if cost_us is None:
        return "not measured"
    return f"{cost_us:,.2g}" if cost_us < 10 else f"{cost_us:,.0f}"


def _statuses(loaded: ConfigFile) -> list[dict[str, Any]]:
    from streamer.store.queries import task_statuses

    return _from_store(loaded, task_statuses, [])


def _unused(loaded: ConfigFile) -> str:
    """How many messages there were of each kind that is only counted, such as tombstones."""
    from streamer.store.queries import unused

    nothing: dict[str, int] = {}
    counts = _from_store(loaded, unused, nothing)
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _from_store(loaded: ConfigFile, query: Callable[[Database], _Answer], otherwise: _Answer) -> _Answer:
    from streamer.store.database import open_store

    try:
        database = open_store(loaded.settings.store, create=False)
    except TapewatchError:
        return otherwise  # no daemon has run with this store yet
    try:
        return query(database)
    finally:
        database.close()


def _try_connections(loaded: ConfigFile) -> list[TapewatchError]:
    """Resolve secrets, build receivers, reach the broker and its topics; one error per problem."""
    from alerts.receivers.errors import ReceiverError
    from alerts.receivers.registry import build_receiver
    from alerts.secrets import SecretError
    from streamer.app.reload import receiver_problem
    from streamer.config.secrets import resolve_secrets
    from streamer.notify.clock import SystemClock
    from streamer.sources.kafka.cluster_survey import survey
    from streamer.sources.kafka.topic_sample import unreadable_samples

    problems: list[TapewatchError] = []
    try:
        secrets = resolve_secrets(loaded, os.environ)
    except TapewatchError as error:
        return [error]
    for warning in secrets.warnings:
        say(f"warning: {warning}")
    for name, settings in loaded.settings.receivers.items():
        try:
            build_receiver(name, settings, secrets, SystemClock())
            cap = settings.messages_per_minute
            limit = "" if cap is None else f", at most {cap} messages per minute"
            out(f"receiver {name}: {settings.kind}, settings OK{limit}")
        except (ReceiverError, SecretError) as error:
            problems.append(ConfigError([receiver_problem(loaded, name, error)]))
    source = loaded.settings.source
    if source.kafka is None:
        return problems
    try:
        globs = [glob for topic in source.topics for glob in topic.globs]
        for topic, partitions in survey(source.kafka, globs, os.environ).items():
            out(f"topic {topic}: {partitions} partition{'' if partitions == 1 else 's'}")
            unreadable = unreadable_samples(source.kafka, topic, os.environ)
            problems += [TapewatchError(problem) for problem in unreadable]
    except TapewatchError as error:
        problems.append(error)
    return problems
