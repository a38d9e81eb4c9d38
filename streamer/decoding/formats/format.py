"""What a format is: how the records of a topic or file become events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from streamer.decoding.column_decoding import DecodedColumns
from streamer.decoding.decode_context import DecodeContext
from streamer.messages.batch import Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record


class Format(Protocol):
    """Turns records into events."""

    @property
    def name(self) -> str:
        """The preset's name."""

    @property
    def spec(self) -> str:
        """Everything that decides what records become, as a text: equal texts, equal events."""

    @property
    def provides(self) -> Mapping[str, frozenset[str]]:
        """The kinds that can occur, with the fields that events of each can carry."""

    @property
    def needs_venue(self) -> bool:
        """True when events never name their venue, so that the topic's settings must."""

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """What kernels make of a block, which `decode` uses where there are many records.

        None where this format, or these settings of it, are read one by one only.
        """

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """The events of the records, in order; what is none becomes a dead letter or is counted by name.

        What a record becomes does not depend on the records around it. Nothing raises.
        """
