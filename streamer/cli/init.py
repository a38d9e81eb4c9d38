"""`tapewatch init`: writes a first configuration for a topic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG
from streamer.cli.output import CompileBar, out, say
from streamer.errors import TapewatchError, UsageError
from streamer.sources.kafka.kafka_settings import KafkaSettings

if TYPE_CHECKING:
    from streamer.messages.records import Record

_SAMPLE_RECORDS = 200
_MANIFEST = "slack-app.yaml"


def init(
    preset: Annotated[str, typer.Argument(help="The format of the records: tapewatch or binance.")],
    topic: Annotated[
        list[str], typer.Option("--topic", "-t", help="The topic to watch; repeat it for several.")
    ],
    bootstrap: Annotated[str, typer.Option(help="The broker, host:port.")] = "localhost:9092",
    venue: Annotated[str | None, typer.Option(help="The venue of events that name none.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = DEFAULT_CONFIG,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not read the topic; assume all fields of the preset.")
    ] = False,
) -> None:
    """Write a commented configuration for one or several topics, and the manifest of a Slack app next to it.

    Up to 200 of each topic's newest records are read, without joining a group, to see which kinds of events,
    fields and instruments there are. The configuration extends the catalogue's sets that have at least one
    rule whose fields occur, and joins topics that have instruments in common. Existing files are never
    overwritten.

    Example: `tapewatch init binance --topic spot.trades --bootstrap localhost:9092`
    """
    from alerts.receivers.slack.manifest import SLACK_MANIFEST
    from streamer.app.first_config import first_configuration
    from streamer.app.preset_sample import PRESETS, inspect_topics
    from streamer.pipeline.compiling import shown
    from streamer.sources.kafka.topic_sample import sample

    if preset == "generic":
        raise UsageError("generic is a mapping of your own fields: start from examples/generic.yaml")
    if preset not in PRESETS:
        suggestion = did_you_mean(preset, PRESETS) or f" (presets: {', '.join(PRESETS)})"
        raise UsageError(f"there is no preset {preset!r}{suggestion}")
    manifest = output.with_name(_MANIFEST)
    for path in (output, manifest):
        if path.exists():
            raise UsageError(f"{path} exists already and was not changed: name another file with -o")
    topics = list(dict.fromkeys(topic))
    sampled: dict[str, dict[int, list[Record]]] = {name: {} for name in topics}
    if not offline:
        for name in topics:
            sampled[name] = sample(_kafka(bootstrap), name, _SAMPLE_RECORDS, os.environ)
        empty = [name for name, records in sampled.items() if not any(records.values())]
        if empty == topics:
            which = f"topic {empty[0]} is" if len(empty) == 1 else f"topics {', '.join(empty)} are"
            say(f"{which} empty, so the configuration assumes all fields of {preset}")
    with shown(CompileBar()):
        contents = inspect_topics(preset, sampled, venue)
    _write(output, first_configuration(preset, topics, bootstrap, contents))
    _write(manifest, SLACK_MANIFEST)
    out(f"{output}: {_summary(contents.records, contents.kinds, len(contents.instruments))}")
    for reason, count in contents.unusable.items():
        say(f"{count:,} of the sampled records cannot be used: {reason}")
    for shared in contents.joins:
        say(f"joined: {shared.written}, since they have instruments in common")
    out(f"{manifest}: the Slack app; create it at https://api.slack.com/apps, From a manifest")
    say(f"next: tapewatch check -c {output}")


def _kafka(bootstrap: str) -> KafkaSettings:
    try:
        return KafkaSettings(bootstrap=bootstrap)
    except ValueError as error:
        raise UsageError(f"--bootstrap {bootstrap!r} is not an address: write host:port") from error


def _summary(records: int, kinds: Mapping[str, int], instruments: int) -> str:
    if not records:
        return "written without a sample of records"
    events = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "no events"
    count = "1 instrument" if instruments == 1 else f"{instruments:,} instruments"
    return f"{records:,} records sampled: {events}, {count}"


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise TapewatchError(f"cannot write {path}: {error.strerror}") from error
