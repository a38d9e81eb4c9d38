"""Event files as given on the command line, and how they are decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.output import say
from streamer.config.file import ConfigFile
from streamer.decoding.formats import FORMATS
from streamer.errors import UsageError
from streamer.messages.records import Partition
from streamer.sources.disorder import Disorder
from streamer.sources.files.file_logs import file_inputs, unmatched_joins
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.file_source import FileSource
from streamer.sources.recording.recording_source import RecordingSource, is_recording
from streamer.sources.source import Source

FileFormat = Annotated[
    str | None,
    typer.Option("--format", help="The files' format (a preset); by default from source.files."),
]
Venue = Annotated[str | None, typer.Option("--venue", help="The venue of events that name none.")]
ReceiveTime = Annotated[
    str | None,
    typer.Option("--receive-time", help="The unit (ns, us, ms, s) of the receive time before each line."),
]

_UNITS = ("s", "ms", "us", "ns")


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """How far a source has been read.

    Parameters
    ----------
    share
        The share of it that has been read, 0 to 1.
    skipped
        Its lines that were not records, by kind.
    damages
        Where files that are damaged or cut short ended.
    empty
        Which files hold no events.
    untimed
        Which files could not be merged or paced; given where events have no times, and whether there is a
        pace.
    joined_as
        The files that are not kept apart on purpose, each with the names and patterns that it is joined by;
        else its own name.
    unsorted
        Which files go back in time, each with the line; given where event times do.
    """

    share: Callable[[], float]
    skipped: Callable[[], Mapping[str, int]]
    damages: Callable[[], Sequence[str]]
    empty: Callable[[], Sequence[str]]
    untimed: Callable[[Collection[Partition], bool], Sequence[str]]
    joined_as: Mapping[str, Sequence[str]]
    unsorted: Callable[[Mapping[Partition, Disorder]], Sequence[str]]


def option_settings(
    file_format: str | None, venue: str | None, receive_time: str | None
) -> FileSourceSettings | None:
    """The settings of all files from the options, None without --format.

    Raises
    ------
    UsageError
        When a format or a unit is unknown.
    """
    if file_format is None:
        if venue is not None or receive_time is not None:
            raise UsageError("--venue and --receive-time need --format")
        return None
    presets = [name for name in FORMATS if name != "generic"]
    if file_format not in presets:
        raise UsageError(
            f"--format {file_format!r} is not one of {', '.join(presets)}; a mapping goes into source.files"
        )
    if receive_time is not None and receive_time not in _UNITS:
        raise UsageError(f"--receive-time {receive_time!r} is not one of {', '.join(_UNITS)}")
    return FileSourceSettings.model_validate(
        {"match": "*", "format": file_format, "venue": venue, "receive_time": receive_time}
    )


def file_source(
    config: ConfigFile,
    files: list[Path],
    batch_size: int | None,
    named: FileSourceSettings | None,
) -> tuple[ConfigFile, Source, ReadProgress]:
    """The source of files or of one recording.

    Parameters
    ----------
    config
        The configuration.
    files
        The files.
    batch_size
        Records per chunk, None for the configuration's.
    named
        Settings for all files (see `option_settings`), None for those of the configuration.

    Returns
    -------
    config, source, progress
        The configuration, with `named` in place of its sources if given; the source; its progress.
    """
    size = batch_size or config.settings.engine.batch_size
    if any(is_recording(path) for path in files):
        if len(files) > 1:
            raise UsageError("a recording must be replayed alone")
        recording = RecordingSource(files[0], size)
        return (
            config,
            recording,
            ReadProgress(recording.progress, dict, tuple, tuple, lambda *_: (), {}, lambda _: ()),
        )
    if named is not None:
        source_settings = config.settings.source.model_copy(update={"files": (named,), "topics": ()})
        settings = config.settings.model_copy(update={"source": source_settings})
        config = replace(config, settings=settings)
    joins = [join.topics for join in config.settings.source.joins]
    for told in unmatched_joins(files, config.settings.source.files, joins):
        say(f"warning: {told}")
    inputs = file_inputs(files, config.settings.source.files, joins)
    written = {"+".join(names): names for names in joins}
    source = FileSource(inputs, size)
    apart = {file.name for file in inputs} - source.not_apart
    joined_as = {file.name: written.get(file.log, (file.name,)) for file in inputs if file.name not in apart}
    return (
        config,
        source,
        ReadProgress(
            lambda: source.bytes_read / max(source.bytes_total, 1),
            lambda: source.skipped,
            lambda: source.damages,
            lambda: source.empty,
            lambda partitions, paced: source.untimed(partitions, paced=paced),
            joined_as,
            source.unsorted,
        ),
    )
