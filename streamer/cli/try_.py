"""`tapewatch try RECEIVER`: sends a marked test message."""

from __future__ import annotations

import os
import socket
from typing import Annotated

import typer

from alerts.severity import SEVERITIES
from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import out
from streamer.cli.people import login_name
from streamer.errors import UsageError


def try_(
    receiver: Annotated[
        str, typer.Argument(metavar="RECEIVER", help="Its name, as under `receivers` in the configuration.")
    ],
    config: Config = DEFAULT_CONFIG,
    severity: Annotated[
        str,
        typer.Option("--severity", "-s", help="info, warning or critical; critical calls whom it mentions."),
    ] = "info",
) -> None:
    """Send a test message through a receiver, and say what was answered.

    The message is marked as a test, is the same as an alert otherwise, and goes out at once: routes, mutes
    and caps do not apply, and the store is not touched. Where it cannot be delivered, the cause and what to
    do about it are told, with exit code 1.

    Example: `tapewatch try desk --severity warning`
    """
    from streamer.app.test_message import send_test

    loaded = load_config(config)
    if receiver not in loaded.settings.receivers:
        known = ", ".join(loaded.settings.receivers) or "none is configured"
        hint = did_you_mean(receiver, loaded.settings.receivers)
        raise UsageError(f"there is no receiver {receiver!r}{hint}: {known}")
    if severity not in SEVERITIES:
        hint = did_you_mean(severity, SEVERITIES)
        raise UsageError(f"--severity {severity!r} is not one of {', '.join(SEVERITIES)}{hint}")
    sent = send_test(loaded, receiver, severity, os.environ, f"{login_name()} on {socket.gethostname()}")
    out(f"{receiver}: test message {sent.id} sent, {severity}: {sent.answered}")
    if sent.link:
        out(f"  {sent.link}")
