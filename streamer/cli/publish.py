"""`tapewatch publish`: sends event files to a Kafka topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from streamer.app.published_files import PublishedFile, PublishedFiles
from streamer.cli.inputs import FileFormat, ReceiveTime, Venue, option_settings
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, progress_bar, say
from streamer.config.settings import EngineSettings, SourceSettings
from streamer.errors import UsageError
from streamer.pipeline.compiling import CompileView
from streamer.sources.files.file_logs import file_inputs, unmatched_joins
from streamer.sources.files.file_records import EmptyFileError
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, SendPace, merge_by_time
from streamer.sources.kafka.publisher import publish as send


def publish(
    files: Annotated[list[Path], typer.Argument(help="Event files.", show_default=False)],
    topic: Annotated[str, typer.Option("--topic", "-t", help="The topic to publish to.")],
    config: Config = DEFAULT_CONFIG,
    bootstrap: Annotated[
        str | None, typer.Option(help="The broker, host:port; by default from the configuration.")
    ] = None,
    create: Annotated[
        int | None, typer.Option(min=1, metavar="PARTITIONS", help="Create the topic if it does not exist.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.001, help="Multiple of the recorded speed; by default as fast as possible."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Limit in records per second.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many records.")] = None,
    file_format: FileFormat = None,
    venue: Venue = None,
    receive_time: ReceiveTime = None,
) -> None:
    """Publish event files to a Kafka topic as they were received: merged by time, keyed by instrument.

    They are merged and paced by receive time, else by event time; the receive time becomes the record's
    timestamp. The format of a file comes from `source.files` of the configuration, or from --format, --venue
    and --receive-time.

    Examples: `tapewatch publish -c binance.yaml -t spot.capture --create 4 spot_*.gz`,
    `tapewatch publish --bootstrap localhost:9092 --format tapewatch -t events --speed 1 day.jsonl`
    """
    named = option_settings(file_format, venue, receive_time)
    if named is not None and bootstrap is not None:
        source, max_ahead_ns = SourceSettings(files=(named,)), EngineSettings().max_ahead_ns
        kafka = KafkaSettings(bootstrap=bootstrap)
    else:
        settings = load_config(config).settings
        source, max_ahead_ns = settings.source, settings.engine.max_ahead_ns
        if named is not None:
            source = source.model_copy(update={"files": (named,)})
        if bootstrap is not None:
            kafka = (source.kafka or KafkaSettings(bootstrap=bootstrap)).model_copy(
                update={"bootstrap": bootstrap}
            )
        elif source.kafka is not None:
            kafka = source.kafka
        else:
            raise UsageError(f"{config}: no broker is configured: give source.kafka, or --bootstrap")
    with progress_bar() as bar:
        task = bar.add_task("publishing", total=None, note="")
        published = _published(files, source, max_ahead_ns, CompileBar(bar))
        _require_times(published, speed)
        counts = send(
            _first(merge_by_time(*published), limit),
            PublishTarget(kafka, topic, create),
            SendPace(rate, speed),
            progress=lambda sent: bar.update(task, note=f"{sent:,} records"),
        )
    for unsorted in filter(None, (file.unsorted() for file in published)):
        say(f"warning: {unsorted}")
    partitions = ", ".join(f"partition {number}: {count:,}" for number, count in sorted(counts.items()))
    say(f"{topic}: {sum(counts.values()):,} records ({partitions})")


def _first(records: Iterator[Outgoing], limit: int | None) -> Iterator[Outgoing]:
    for number, record in enumerate(records):
        if limit is not None and number >= limit:
            return
        yield record


def _published(
    paths: list[Path], source: SourceSettings, max_ahead_ns: int, compiling: CompileView
) -> list[PublishedFile]:
    """The files, each opened, and its first records read, without those that hold none."""
    files = list[PublishedFile]()
    empty = list[EmptyFileError]()
    together = PublishedFiles(len(paths), max_ahead_ns, EngineSettings().max_instruments, compiling)
    joins = [join.topics for join in source.joins]
    for told in unmatched_joins(paths, source.files, joins):
        say(f"warning: {told}")
    for file in file_inputs(paths, source.files, joins):
        entry = next(entry for entry in source.files if entry.matches(file.path.name))
        try:
            files.append(PublishedFile(file, entry, together))
        except EmptyFileError as error:
            empty.append(error)
    if not files:
        raise empty[0]
    for each in empty:
        say(f"warning: {each}")
    return files


def _require_times(files: Sequence[PublishedFile], speed: float | None) -> None:
    """Tell which files have no times to be merged by, and refuse a speed for them."""
    untimed = ", ".join(str(file.file.path) for file in files if not file.timed)
    if not untimed:
        return
    if speed is not None:
        raise UsageError(
            f"{untimed}: no times, neither of receipt nor of events, which --speed needs: say how to read it "
            "in source.files (format, receive_time), or give --rate"
        )
    if len(files) > 1:
        say(
            f"warning: {untimed}: no times to merge by, neither of receipt nor of events: it is sent as a "
            "whole, before the others"
        )
