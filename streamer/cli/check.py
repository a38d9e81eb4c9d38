"""`tapewatch check`: validates the configuration, asks topics and receivers, and shows each rule's state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamer.cli.check_tables import (
    detector_table,
    join_table,
    rate_table,
    receiver_table,
    state_table,
    topic_table,
)
from streamer.cli.clock_counts import clock_lines
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, out, say
from streamer.config.errors import ConfigError, Problem, render_path
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError, UsageError
from streamer.messages.logs import name_of
from streamer.messages.records import Partition

if TYPE_CHECKING:
    from streamer.app.topic_checks import TopicCheck
    from streamer.pipeline.plan import Plan
    from streamer.pipeline.rule_logs import LogFields


def check(
    config: Config = DEFAULT_CONFIG,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check the file only: no secrets, no broker, no receivers.")
    ] = False,
) -> None:
    """Check the configuration, ask receivers, broker and topics, and list every rule's state.

    Nothing is sent: Slack is asked whether the token is valid and the bot is in its channel, webhooks are
    connected to (`tapewatch try RECEIVER` sends a test message). The newest 200 records of each topic are
    decoded, without moving any offset; a topic of which nothing decodes is a problem, and so are damaged
    records, a missing codec, a wrong unit. It shows the logs that joined topics make and who assigns their
    partitions, and warns of instruments that are in several logs. A rule is active, warming (it waits for a
    detector, or its window has not passed, by the daemon's last checkpoint), or inactive (no log has all that
    it names), with the reason; so is every name that is watched for drift. Once the daemon has run, it says
    how many clocks of the input were wrong, and how often each rule has fired, and was expected to. For each
    detector it shows the model, what is left of its warm-up, and the cost per event, measured on this machine
    while you wait.

    Models that are given by import name are built in another process, with limits of time and memory. With
    --offline they are kept there from writing files, starting processes and reaching networks. That catches
    what a model does by accident; it is no sandbox for code that means harm.

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
    asked = Asked() if offline else _ask(loaded, plan)
    statuses, unused = _from_store(loaded, asked)
    timers = loaded.settings.engine.ticks != "off"
    rules = rule_states(plan, statuses, timers=timers, sampled=asked.fields)
    out(state_table([*rules, *drift_states(plan, statuses)]))
    for status in statuses:
        for line in clock_lines(status.get("clocks", {})):
            out(f"{name_of(Partition(status['topic'], '', status['partition']))}: {line}")
    if unused:
        counts = ", ".join(f"{name} {count:,}" for name, count in unused.items())
        out(f"known but not used, and no dead letters: {counts}")
    rates = rule_rates(plan, statuses)
    if rates:
        out(rate_table(rates))
    if plan.detectors:
        out(detector_table(plan, statuses, costs))
    asked.fail()


def _compiled(loaded: ConfigFile, *, offline: bool) -> tuple[Plan, Mapping[str, float | None]]:
    """The plan, and what models that are given by import name cost; those run in another process only."""
    from streamer.config.secrets import secrets_of
    from streamer.pipeline.compile import compile_plan
    from streamer.pipeline.detector_models import foreign, tried_only
    from streamer.pipeline.model_trial import ModelTrial

    named = foreign(loaded.settings.detectors)
    hidden = {secret.env for _, secret in secrets_of(loaded.settings) if secret.env is not None}
    with ModelTrial(named, hands_off=offline, costs=not offline, without=hidden) as trial:
        plan = compile_plan(loaded, tried_only(trial))
        results = trial.results()
    return plan, {name: result.cost_us for name, result in results.items()}


class Asked:
    """What the world outside said.

    Attributes
    ----------
    problems
        Each with its place in the file.
    is_configuration
        Whether a problem is one of the file, such as a secret that is not there.
    fields
        Kinds and fields in the newest records of each topic, or of topics that are joined.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.is_configuration = False
        self.fields: dict[str, LogFields] = {}

    def fail(self) -> None:
        """Raise the problems, if there are any."""
        if self.problems:
            raise (UsageError if self.is_configuration else TapewatchError)(*self.problems)


def _ask(loaded: ConfigFile, plan: Plan) -> Asked:
    """Resolve secrets, ask receivers, the broker and its topics, and show what they say."""
    from streamer.app.join_report import fields_by_log
    from streamer.app.receiver_checks import check_receivers
    from streamer.app.topic_checks import check_topics
    from streamer.config.secrets import resolve_secrets
    from streamer.pipeline.compiling import shown
    from streamer.sources.kafka.client import ClientOptionError

    asked, told = Asked(), tuple[Problem, ...]()
    try:
        secrets = resolve_secrets(loaded, os.environ)
        for warning in secrets.warnings:
            say(f"warning: {warning}")
    except ConfigError as error:
        asked.problems, asked.is_configuration, told = list(error.lines), True, error.problems
    receivers = check_receivers(loaded, os.environ)
    if receivers:
        out(receiver_table(receivers))
    for each in receivers:
        if each.problem is not None and not _is_told(each.name, each.problem, told):
            asked.problems.append(str(each.problem))
            asked.is_configuration |= each.is_configuration
    if any(problem.path.startswith("source.kafka.") for problem in told):
        return asked  # no broker answers without it
    try:
        with shown(CompileBar()):
            topics = check_topics(loaded, plan, os.environ)
    except ClientOptionError as error:
        asked.problems.append(str(loaded.problem(error.path, error.said)))
        asked.is_configuration = True
        return asked
    except TapewatchError as error:
        asked.problems.append(str(error))
        asked.is_configuration |= isinstance(error, UsageError)
        return asked
    if topics:
        out(topic_table(topics))
        _show_joins(loaded, topics)
    asked.problems += [f"{each.place}: {problem}" for each in topics for problem in each.problems]
    fields = {each.topic: each.fields for each in topics if each.fields is not None}
    asked.fields = fields_by_log(loaded.settings.source.joins, fields)
    return asked


def _show_joins(loaded: ConfigFile, topics: Sequence[TopicCheck]) -> None:
    """What the joins come to, who assigns partitions, and which instruments are in several logs."""
    from streamer.app.join_report import check_joined, group_notes, not_joined
    from streamer.sources.kafka.group_survey import survey_group
    from streamer.sources.kafka.joined_partitions import JoinPlan

    source = loaded.settings.source
    if source.joins:
        out(join_table(check_joined(source.joins, topics)))
    if source.kafka is not None:
        found = survey_group(source.kafka, os.environ)
        for note in group_notes(JoinPlan(source.joins), source.kafka.group, found):
            out(note)
    for shared in not_joined(source, topics):
        say(f"warning: {loaded.key_problem(('source', 'join'), str(shared))}")


def _is_told(receiver: str, problem: Problem, told: Sequence[Problem]) -> bool:
    """Whether a receiver only says what its own secrets have said already, at their place in the file."""
    below = f"{render_path(('receivers', receiver))}."
    return any(each.path.startswith(below) and each.message == problem.message for each in told)


def _from_store(loaded: ConfigFile, asked: Asked) -> tuple[list[Mapping[str, Any]], Mapping[str, int]]:
    """The tasks' statuses, and how many messages of each kind are only counted, such as tombstones.

    Both are empty where no daemon has run with this store yet. A store that `run` would refuse is a problem.
    """
    from streamer.app.join_report import of_these_logs
    from streamer.store import database as stores
    from streamer.store.queries import task_statuses, unused

    url = loaded.settings.store
    try:
        path = stores.store_path(url)
        if path is not None:
            stores.require_no_other_file(path)
            stores.require_whole(path)
        if path is None or not path.exists():
            return [], {}
        with closing(stores.open_store(url, create=False)) as database:
            statuses = of_these_logs(loaded.settings.source.joins, task_statuses(database))
            return statuses, unused(database)
    except stores.StoreError as error:
        is_place = isinstance(error, stores.WrongStoreError)
        said = [str(loaded.problem(("store",), str(error).removeprefix("store: ")))]
        asked.problems += said if is_place else error.lines
        asked.is_configuration |= isinstance(error, UsageError)
        return [], {}
