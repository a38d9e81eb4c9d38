"""`tapewatch run`: the daemon."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from streamer.cli.code_loading import loading
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import say
from streamer.config.secrets import resolve_secrets


def run(
    config: Config = DEFAULT_CONFIG,
    accept_rederivation: Annotated[
        bool,
        typer.Option(
            "--accept-rederivation",
            help="Fold a journal that another fold version left, keeping what was sent where they differ.",
        ),
    ] = False,
) -> None:
    """Consume the configured topics, detect, and send alerts, until stopped.

    Stops on SIGTERM or Ctrl-C: what has been read is finished, a checkpoint is written, and alerts that
    are owed are delivered (for at most 10 seconds; the rest goes out after the next start). Killed in any
    other way it goes on exactly where it was: no alert is lost, and none is raised twice.

    Example: `SLACK_BOT_TOKEN=xoxb-… tapewatch run -c binance.yaml`
    """
    with loading():
        from streamer.app.daemon import run_service
        from streamer.cli.logs import set_up_logs

        loaded = load_config(config)
    for warning in loaded.warnings:
        say(f"warning: {warning}")
    secrets = resolve_secrets(loaded, os.environ)
    set_up_logs(loaded.settings.log)
    run_service(loaded, secrets, say=say, accept_rederivation=accept_rederivation)
