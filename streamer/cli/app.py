"""The program's commands, and the typer application that they form."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

import typer

from streamer.cli.guard import guarded
from streamer.cli.version import show_version

COMMANDS = (
    "demo",
    "init",
    "run",
    "replay",
    "publish",
    "record",
    "check",
    "try",
    "health",
    "alerts",
    "why",
    "mute",
    "models",
    "dead-letters",
    "prune",
    "backup",
    "restore",
)
"""In the order of the help text; each is a function of this name in a file of this name.

One that is a word of Python's has an underscore behind it there.
"""

_HELP = (
    "Detects anomalies in trading events: reads Kafka, applies rules and online detectors, and sends alerts "
    "to Slack and webhooks.\n\n"
    "Start with `tapewatch replay` on a file of events and look at its alerts, then use `tapewatch check` "
    "and `tapewatch run` on a topic.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."
)


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """The typer application.

    Parameters
    ----------
    arguments
        The command line; if it begins with a command, only that command is loaded.
    """
    app = typer.Typer(
        name="tapewatch",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        help=_HELP,
    )
    app.callback()(show_version)
    for name in [name for name in COMMANDS if name in arguments[:1]] or COMMANDS:
        function = name.replace("-", "_") + ("_" if iskeyword(name) else "")
        command = getattr(import_module(f"streamer.cli.{function}"), function)
        app.command(name=name)(guarded(command))
    return app
