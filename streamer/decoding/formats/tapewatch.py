"""The public schema itself, as JSON: a record is one event, or a list of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from streamer.decoding.column_decoding import DecodedColumns, decode_records
from streamer.decoding.columns.event_columns import EventColumns
from streamer.decoding.decode_context import DecodeContext
from streamer.decoding.event_fields import FIELDS_BY_KIND, KIND_NAMES
from streamer.decoding.event_structs import AnyStruct, EventStruct
from streamer.decoding.formats.record_decoding import (
    DecodeCall,
    add_draft,
    add_event,
    as_object,
    decode_each,
    decode_events,
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
        Only the preset's name, which has no effect here.

    Examples
    --------
    >>> value = b'{"event_type": "trade", "symbol": "X", "ts_event": 5, "price": 2, "size": 1}'
    >>> batch = TapewatchFormat().decode([Record(0, value)], DecodeContext("trades", "here")).batch
    >>> batch.instruments[0], batch.event(0)
    (Instrument(venue='here', symbol='X'), {'price': 2.0, 'size': 1.0})
    """

    name = "tapewatch"
    spec = "tapewatch/1"
    provides = FIELDS_BY_KIND
    time_units: Mapping[str, str] = MappingProxyType(dict.fromkeys(KIND_NAMES, "ns"))
    needs_venue = False

    def __init__(self, settings: MappingSettings | None = None) -> None:
        self._decode = msgspec.json.Decoder(AnyStruct).decode
        self._columns = EventColumns(tapewatch_plan())

    def columns(self, block: RecordBlock, context: DecodeContext) -> DecodedColumns | None:
        """The kernels' result for a block; see `Format.columns`."""
        return self._columns.read(block, context)

    def decode(self, records: Sequence[Record], context: DecodeContext) -> Decoded:
        """Decode records; see `Format.decode`."""
        return decode_records(
            records,
            context.source,
            lambda block: self.columns(block, context),
            lambda rest: decode_each(rest, context, self._decode_one),
        )

    def _decode_one(self, value: bytes, record: Record, call: DecodeCall) -> None:
        try:
            event = self._decode(value)
        except msgspec.MsgspecError:
            self._decode_any(value, record, call)
            return
        add_event(event, _KIND_OF[type(event)], record, 0, call)

    def _decode_any(self, value: bytes, record: Record, call: DecodeCall) -> None:
        def decode_event(element: object, index: int) -> None:
            add_draft(as_object(element), record, index, call)

        decode_events(parse(value), record, call, decode_event)
