"""The command line: one file per command."""

from __future__ import annotations

import typer

from streamer.cli.alerts import alerts
from streamer.cli.check import check
from streamer.cli.dead_letters import dead_letters
from streamer.cli.demo import demo
from streamer.cli.guard import guarded
from streamer.cli.init import init
from streamer.cli.mute import mute
from streamer.cli.publish import publish
from streamer.cli.record import record
from streamer.cli.replay import replay
from streamer.cli.run import run
from streamer.cli.version import show_version
from streamer.cli.why import why

app = typer.Typer(
    name="tapewatch",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help=(
        "Watches trading events for what is worth a person's time: Kafka in, rules and online detectors, "
        "Slack and webhooks out.\n\n"
        "Start with `tapewatch replay` on a file of events, look at its alerts, then `tapewatch check` and "
        "`tapewatch run` on a topic.\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."
    ),
)
app.callback()(show_version)
for command in (demo, init, run, replay, publish, record, check, alerts, why, mute, dead_letters):
    app.command(name=command.__name__.replace("_", "-"))(guarded(command))


def main() -> None:
    """Run a command."""
    app()
