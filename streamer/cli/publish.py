"""`tapewatch publish`: event files into a Kafka topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.inputs import FileFormat, ReceiveTime, Venue, named_files
from streamer.cli.options import DEFAULT_CONFIG, Config, load_config
from streamer.cli.output import progress_bar, say
from streamer.decoding.formats import DecodeContext, Format, build_format
from streamer.errors import UsageError
from streamer.messages.records import Record
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.file_source import FileInput, FileRecords
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, SendPace, merge_by_time
from streamer.sources.kafka.publisher import publish as send

_AT_ONCE = 500  # records decoded together to find their instruments


def publish(
    files: Annotated[list[Path], typer.Argument(help="Event files.", show_default=False)],
    topic: Annotated[str, typer.Option("--topic", "-t", help="Where to.")],
    config: Config = DEFAULT_CONFIG,
    bootstrap: Annotated[
        str | None, typer.Option(help="The broker, host:port; by default the configuration's.")
    ] = None,
    create: Annotated[
        int | None, typer.Option(min=1, metavar="PARTITIONS", help="Make the topic where it does not exist.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="Times recorded speed; as fast as it goes without.")
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Records a second, at most.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many records.")] = None,
    file_format: FileFormat = None,
    venue: Venue = None,
    receive_time: ReceiveTime = None,
) -> None:
    """Put event files into a Kafka topic, as they were received: one stream by time, keyed by instrument.

    Records keep their receive time as the record's timestamp. How a file is read comes from
    `source.files` of the configuration, or from --format, --venue and --receive-time.

    Examples: `tapewatch publish -c binance.yaml -t spot.capture --create 4 spot_*.gz`,
    `tapewatch publish --bootstrap localhost:9092 --format tapewatch -t events --speed 1 day.jsonl`
    """
    named = named_files(file_format, venue, receive_time)
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
            raise UsageError(f"{config}: no broker is named: give source.kafka, or --bootstrap")
    with progress_bar() as bar:
        task = bar.add_task("publishing", total=None, note="")
        streams = [_outgoing(path, settings) for path in files]
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


def _outgoing(path: Path, settings: tuple[FileSourceSettings, ...]) -> Iterator[Outgoing]:
    found = next((one for one in settings if one.matches(path.name)), None)
    if found is None:
        raise UsageError(f"{path}: no entry of source.files matches it; add one, or give --format")
    return _keyed(
        FileInput(path, found.receive_time), build_format(found.format), DecodeContext(path.name, found.venue)
    )


def _keyed(file: FileInput, file_format: Format, context: DecodeContext) -> Iterator[Outgoing]:
    """Each record with its instrument's symbol as the key; records of none keep the key before them."""
    key: bytes | None = None
    records = FileRecords(file)
    try:
        while some := records.take(_AT_ONCE):
            for out in _with_keys(some, file_format, context, key):
                yield out
                key = out.key
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
