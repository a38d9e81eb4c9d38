"""What a format is: how the records of a topic or file become events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamer.events.batch import Decoded
from streamer.events.columnar import Columns
from streamer.sources.contract import Record
from streamer.sources.record_block import RecordBlock


@dataclass(frozen=True, slots=True)
class DecodeContext:
    """What the records' surroundings add to them.

    Parameters
    ----------
    topic
        The name of the topic, or of the file without its folders.
    venue
        The venue of events that name none.
    source
        Which of the task's topics it is; it goes into `Batch.source`.
    """

    topic: str
    venue: str | None = None
    source: int = 0


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

    def columns(self, block: RecordBlock, context: DecodeContext) -> Columns | None:
        """What kernels make of a block, which `decode` uses where there are many records.

        None where this format, or these settings of it, are read one by one only.
        """

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """The events of the records, in order; what is none becomes a dead letter or is counted by name.

        What a record becomes does not depend on the records around it. Nothing raises.
        """
