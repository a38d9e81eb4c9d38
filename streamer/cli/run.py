"""`tapewatch run`: the daemon."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from streamer.app.signals import ServiceSignals
from streamer.app.unblocked_output import UnblockedOutput
from streamer.cli.code_loading import loading
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, say
from streamer.config.secrets import resolve_secrets
from streamer.errors import UsageError

if TYPE_CHECKING:
    from streamer.notify.heartbeat import Counts

log = structlog.get_logger()


def run(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    accept_rederivation: Annotated[
        bool,
        typer.Option(
            "--accept-rederivation",
            help="Fold a journal of another fold version; alerts already sent are kept where it differs.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print a line a minute.")] = False,
    fold_again: Annotated[
        bool,
        typer.Option(
            "--fold-again",
            help="Fold logs again whose checkpoints are all lost; nothing is sent again.",
        ),
    ] = False,
    models_anew: Annotated[
        bool,
        typer.Option(
            "--models-anew",
            help="Go on where detection was, with models and features that warm up anew.",
        ),
    ] = False,
) -> None:
    """Consume the configured topics, detect anomalies, and send alerts, until stopped.

    SIGTERM or Ctrl-C stops it: the batch at hand is processed, a checkpoint is written, and pending
    alerts are delivered (for at most 8 seconds; the rest goes out after the next start). A second one ends
    it at once. If it is killed in any other way, it resumes exactly where it was: no alert is lost, and none
    is raised twice. SIGHUP reloads the configuration.

    Once a minute it prints a line: records, alerts, messages delivered, records behind, and what is not well;
    with `log.format: json` it is an event of the log. A service manager that asks for it (systemd with
    `Type=notify`) is told when it is up, reloads and stops, and gets a sign of life while detection goes on.

    Detection that goes on no more, such as in a model that never returns, ends it after `engine.stuck_after`,
    for its supervisor to start it again; the next start quarantines that detector.

    For one start only, where it says so: --fold-again where the checkpoints of a log are lost and Kafka still
    holds all of it, --models-anew where they cannot be used. Both keep alerts, silences and what is owed;
    alerts from then on have new ids, and open episodes are resolved.

    Example: `SLACK_BOT_TOKEN=xoxb-… tapewatch run -c binance.yaml`
    """
    if sys.stdout is not None:  # None where it was started without one
        sys.stdout = UnblockedOutput(sys.stdout)  # models may print
    with loading():
        from streamer.app.daemon import DaemonOptions, run_service
        from streamer.app.service_manager import ServiceManager
        from streamer.cli.logs import hide_in_logs, set_up_logs

        loaded = load_config(config)
    secrets = resolve_secrets(loaded, os.environ)
    for warning in secrets.warnings:
        say(f"warning: {warning}")
    set_up_logs(loaded.settings.log, secrets.values)
    if isinstance(sys.stderr, UnblockedOutput):
        sys.stderr.on_lost = _tell_lost
    signals = context.obj if isinstance(context.obj, ServiceSignals) else ServiceSignals()
    signals.loaded()
    if fold_again and models_anew:
        raise UsageError("give either --fold-again or --models-anew")
    as_event = loaded.settings.log.format == "json"
    options = DaemonOptions(
        CompileBar(),
        signals,
        accept_rederivation,
        ServiceManager(os.environ),
        _nothing if quiet else _log_minute if as_event else _say_minute,
        fold_again=fold_again,
        models_anew=models_anew,
        hide=hide_in_logs,
    )
    run_service(loaded, secrets, options)


def _tell_lost(lines: int) -> None:
    log.warning("lines of the log were lost", lines=lines, reason="nobody took them")


def _nothing(*_: object) -> None:
    pass


def _say_minute(now: Counts, before: Counts, seconds: float) -> None:
    from streamer.app.standing_report import minute_line

    say(minute_line(now, before, seconds))


def _log_minute(now: Counts, before: Counts, seconds: float) -> None:
    log.info(
        "minute",
        seconds=round(seconds),
        records=now.records - before.records,
        alerts=now.alerts - before.alerts,
        delivered=now.delivered - before.delivered,
        dead_letters=now.dead_letters - before.dead_letters,
        parked=sum(group.count for group in now.parked),
        failing=sorted(now.failing) or None,
        behind=now.behind,
        source=now.source,
        not_well="; ".join(now.causes) or None,
    )
