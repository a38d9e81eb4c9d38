"""The interface of formats, which decode the records of a topic or file into events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from streamer.decoding.column_decoding import DecodedColumns
from streamer.decoding.decode_context import DecodeContext
from streamer.messages.batch import Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record


class Format(Protocol):
    """Decodes records into events."""

    @property
    def name(self) -> str:
        """The preset's name."""

    @property
    def spec(self) -> str:
        """Everything that affects decoding, as a text: formats with equal texts give equal events."""

    @property
    def provides(self) -> Mapping[str, frozenset[str]]:
        """The kinds that can occur, with the fields that events of each kind can have."""

    @property
    def time_units(self) -> Mapping[str, str]:
        """By kind, the unit (``s``, ``ms``, ``us``, ``ns``) that event times are counted in.

        Kinds whose events have no time, or have it as a text, are left out.
        """

    @property
    def needs_venue(self) -> bool:
        """True if events never name their venue, so that the topic's settings must."""

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """The kernels' result for a block, which `decode` uses for all but a few records.

        None if this format, or these settings of it, only have the slow path.
        """

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """Decode records in order; those that are not events become dead letters or are counted by name.

        The result for a record does not depend on the records around it. Never raises.
        """
