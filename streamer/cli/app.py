"""What the program's commands are, and the one application that they make."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

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
    "alerts",
    "why",
    "mute",
    "dead-letters",
)
"""In the order in which help lists them; each is a function of its name in a file of its name."""

_HELP = (
    "Watches trading events for what is worth a person's time: Kafka in, rules and online detectors, "
    "Slack and webhooks out.\n\n"
    "Start with `tapewatch replay` on a file of events, look at its alerts, then `tapewatch check` and "
    "`tapewatch run` on a topic.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."
)


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """The program.

    Parameters
    ----------
    arguments
        What it is called with. Where these begin with a command, no other one is loaded.
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
        function = name.replace("-", "_")
        command = getattr(import_module(f"streamer.cli.{function}"), function)
        app.command(name=name)(guarded(command))
    return app
