"""Settings for files of events: `source.files` of a configuration."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from streamer.decoding.event_fields import TEXT_MAX_CHARS
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.ignored_records import IgnoredRecords

ReceiveUnit = Literal["s", "ms", "us", "ns"]
"""Unit of the receive time before each line, counted since 1970 UTC."""


class FileSourceSettings(BaseModel):
    """How files with a matching name are read.

    Parameters
    ----------
    match
        A glob over the file's name without its folders.
    format
        A preset's name, or a mapping.
    venue
        The venue of events that name none.
    receive_time
        The unit of the receive time before each line of JSON; absent if there is none.
    logs
        ``each``: each file is a log of its own, as for separate series; ``one``: all are one log, merged by
        receive time, else by event time.
    ignore
        Records that are only counted: ``tombstone``, those without a value, as recordings may hold.

    Examples
    --------
    >>> settings = FileSourceSettings(match="spot_*.gz", format="binance", venue="binance", receive_time="ns")
    >>> settings.matches("spot_btcusdt.gz")
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Annotated[StrictStr, Field(min_length=1)]
    format: FormatSettings
    venue: Annotated[StrictStr, Field(min_length=1, max_length=TEXT_MAX_CHARS)] | None = None
    receive_time: ReceiveUnit | None = None
    logs: Literal["one", "each"] = "one"
    ignore: IgnoredRecords = ()

    def matches(self, name: str) -> bool:
        """Whether the entry applies to a file of this name (without folders)."""
        return fnmatchcase(name, self.match)
