"""`tapewatch init`: a configuration to begin with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG
from streamer.cli.output import out, say
from streamer.errors import TapewatchError, UsageError
from streamer.sources.kafka.kafka_settings import KafkaSettings

_LOOKED_AT = 200
_MANIFEST = "slack-app.yaml"


def init(
    preset: Annotated[str, typer.Argument(help="How the records are read: tapewatch or binance.")],
    topic: Annotated[str, typer.Option("--topic", "-t", help="The topic to watch.")],
    bootstrap: Annotated[str, typer.Option(help="The broker, host:port.")] = "localhost:9092",
    venue: Annotated[
        str | None, typer.Option(help="Where the instruments are traded, where events do not say.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = DEFAULT_CONFIG,
    offline: Annotated[
        bool, typer.Option("--offline", help="No look at the topic: only what the preset can provide.")
    ] = False,
) -> None:
    """Write a configuration with comments for a topic, and the manifest of a Slack app beside it.

    The newest records of the topic (200 at most) are read, outside of any group: how many decode, which
    kinds, fields and instruments there are. Those sets of the catalogue are taken over that find their
    fields. A file that is there already is never overwritten.

    Example: `tapewatch init binance --topic spot.trades --bootstrap localhost:9092`
    """
    from alerts.receivers.slack.manifest import SLACK_MANIFEST
    from streamer.app.first_config import PRESETS, first_configuration, look
    from streamer.sources.kafka.topic_sample import sample

    if preset == "generic":
        raise UsageError("generic is a mapping of your own fields: start from examples/generic.yaml")
    if preset not in PRESETS:
        near = did_you_mean(preset, PRESETS) or f" (there are {', '.join(PRESETS)})"
        raise UsageError(f"there is no preset {preset!r}{near}")
    manifest = output.with_name(_MANIFEST)
    for path in (output, manifest):
        if path.exists():
            raise UsageError(f"{path} is there already, and is left as it is: name another file with -o")
    records = []
    if not offline:
        records = sample(_kafka(bootstrap), topic, _LOOKED_AT, os.environ)
        if not records:
            say(f"topic {topic} is empty, so the configuration goes by what {preset} can provide")
    seen = look(preset, topic, venue, records)
    _write(output, first_configuration(preset, topic, bootstrap, seen))
    _write(manifest, SLACK_MANIFEST)
    out(f"{output}: {_summary(seen.records, seen.kinds, len(seen.instruments))}")
    for reason, count in seen.refused.items():
        say(f"{count:,} of the records looked at cannot be used: {reason}")
    out(f"{manifest}: the Slack app; create it at https://api.slack.com/apps, From a manifest")
    say(f"next: tapewatch check -c {output}")


def _kafka(bootstrap: str) -> KafkaSettings:
    try:
        return KafkaSettings(bootstrap=bootstrap)
    except ValueError as error:
        raise UsageError(f"--bootstrap {bootstrap!r} is no address: write host:port") from error


def _summary(records: int, kinds: Mapping[str, int], instruments: int) -> str:
    if not records:
        return "written without a look at any record"
    events = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "no events"
    some = "1 instrument" if instruments == 1 else f"{instruments:,} instruments"
    return f"{records:,} records looked at: {events}, {some}"


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
