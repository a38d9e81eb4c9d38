"""`tapewatch publish`: sends event files to a Kafka topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.inputs import FileFormat, ReceiveTime, Venue, option_settings
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import CompileBar, progress_bar, say
from streamer.decoding.formats import DecodeContext, Format, build_format
from streamer.errors import UsageError
from streamer.messages.records import Record
from streamer.pipeline.compiling import CompileView, shown
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, SendPace, merge_by_time
from streamer.sources.kafka.publisher import publish as send

_CHUNK_RECORDS = 500  # records decoded together to find their instruments


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

    The receive time becomes the record's timestamp. The format of a file comes from `source.files` of the
    configuration, or from --format, --venue and --receive-time.

    Examples: `tapewatch publish -c binance.yaml -t spot.capture --create 4 spot_*.gz`,
    `tapewatch publish --bootstrap localhost:9092 --format tapewatch -t events --speed 1 day.jsonl`
    """
    named = option_settings(file_format, venue, receive_time)
    if named is not None and bootstrap is not None:
        settings: tuple[FileSourceSettings, ...] = (named,)
        kafka = KafkaSettings(bootstrap=bootstrap)
    else:
        source = load_config(config).settings.source
        settings = (named,) if named is not None else source.files
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
        streams = [_outgoing(path, settings, CompileBar(bar)) for path in files]
        counts = send(
            _first(merge_by_time(*streams), limit),
            PublishTarget(kafka, topic, create),
            SendPace(rate, speed),
            progress=lambda sent: bar.update(task, note=f"{sent:,} records"),
        )
    partitions = ", ".join(f"partition {number}: {count:,}" for number, count in sorted(counts.items()))
    say(f"{topic}: {sum(counts.values()):,} records ({partitions})")


def _first(records: Iterator[Outgoing], limit: int | None) -> Iterator[Outgoing]:
    for number, record in enumerate(records):
        if limit is not None and number >= limit:
            return
        yield record


def _outgoing(
    path: Path, settings: tuple[FileSourceSettings, ...], compiling: CompileView
) -> Iterator[Outgoing]:
    entry = next((entry for entry in settings if entry.matches(path.name)), None)
    if entry is None:
        raise UsageError(f"{path}: no entry of source.files matches it; add one, or give --format")
    return _keyed(
        FileInput(path, entry.receive_time),
        build_format(entry.format),
        DecodeContext(path.name, entry.venue),
        compiling,
    )


def _keyed(
    file: FileInput, file_format: Format, context: DecodeContext, compiling: CompileView
) -> Iterator[Outgoing]:
    """Each record with its instrument's symbol as the key; a record without one gets the previous key."""
    key: bytes | None = None
    records = FileRecords(file)
    try:
        while True:
            with shown(compiling):
                chunk = records.take(_CHUNK_RECORDS)
                keyed = list(_with_keys(chunk, file_format, context, key)) if chunk else []
            if not keyed:
                return
            yield from keyed
            key = keyed[-1].key
    finally:
        records.close()


def _with_keys(
    records: Sequence[Record], file_format: Format, context: DecodeContext, key: bytes | None
) -> Iterator[Outgoing]:
    batch = file_format.decode(records, context).batch
    symbols: dict[int, bytes] = {}
    for row in range(len(batch) - 1, -1, -1):
        symbols[int(batch.offset[row])] = batch.instruments[batch.instrument[row]].symbol.encode()
    for record in records:
        key = record.key or symbols.get(record.offset, key)
        yield Outgoing(record.timestamp, key, record.value, record.headers)
