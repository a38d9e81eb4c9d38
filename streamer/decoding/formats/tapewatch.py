"""The public schema itself, as JSON: one event a record, or a list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from streamer.decoding.column_decoding import DecodedColumns, decoded
from streamer.decoding.columns.event_columns import EventColumns
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import FIELDS_BY_KIND, KIND_NAMES
from streamer.decoding.event_structs import AnyStruct, EventStruct
from streamer.decoding.formats.record_decoding import (
    DecodeCall,
    add_draft,
    add_event,
    an_object,
    read,
    read_each,
)
from streamer.decoding.formats.tapewatch_columns import tapewatch_plan
from streamer.decoding.json_text import parse
from streamer.decoding.mapping_settings import MappingSettings
from streamer.messages.batch import Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record

_KIND_OF: Mapping[type[EventStruct], str] = MappingProxyType(
    dict(zip(AnyStruct.__args__, KIND_NAMES, strict=True))
)


class TapewatchFormat:
    """Events as `streamer.decoding.event_schema` describes them.

    Parameters
    ----------
    settings
        Has nothing to say here but the preset's name.

    Examples
    --------
    >>> value = b'{"event_type": "trade", "symbol": "X", "ts_event": 5, "price": 2, "size": 1}'
    >>> found = TapewatchFormat().decode([Record(0, value)], DecodeContext("trades", "here"))
    >>> found.batch.instruments[0], found.batch.event(0)
    (Instrument(venue='here', symbol='X'), {'price': 2.0, 'size': 1.0})
    """

    name = "tapewatch"
    spec = "tapewatch/1"
    provides = FIELDS_BY_KIND
    needs_venue = False

    def __init__(self, settings: MappingSettings | None = None) -> None:
        self._decode = msgspec.json.Decoder(AnyStruct).decode
        self._columns = EventColumns(tapewatch_plan())

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """What kernels make of a block; see `Format.columns`."""
        return self._columns.read(block, context)

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """The events of the records; see `Format.decode`."""
        return decoded(
            records,
            context.source,
            lambda block: self.columns(block, context),
            lambda some: read(some, context, self._read_one),
        )

    def _read_one(self, value: bytes, record: Record, reading: DecodeCall) -> None:
        try:
            event = self._decode(value)
        except msgspec.MsgspecError:
            self._read_slowly(value, record, reading)
            return
        add_event(event, _KIND_OF[type(event)], record, 0, reading)

    def _read_slowly(self, value: bytes, record: Record, reading: DecodeCall) -> None:
        def read_event(found: object, index: int) -> None:
            add_draft(an_object(found), record, index, reading)

        read_each(parse(value), record, reading, read_event)
