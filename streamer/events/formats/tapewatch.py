"""The public schema itself, as JSON: one event a record, or a list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from streamer.events.batch import Decoded
from streamer.events.columnar import Columns, decoded
from streamer.events.fields import FIELDS_BY_KIND, KIND_NAMES
from streamer.events.formats.contract import DecodeContext
from streamer.events.formats.reading import Reading, add_draft, add_event, an_object, read, read_each
from streamer.events.formats.tapewatch_columns import tapewatch_plan
from streamer.events.json_text import parse
from streamer.events.scanned.reader import EventColumns
from streamer.events.settings import FormatSettings
from streamer.events.structs import AnyStruct, EventStruct
from streamer.sources.contract import Record
from streamer.sources.record_block import RecordBlock

_KIND_OF: Mapping[type[EventStruct], str] = MappingProxyType(
    dict(zip(AnyStruct.__args__, KIND_NAMES, strict=True))
)


class TapewatchFormat:
    """Events as `streamer.events.schema` describes them.

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

    def __init__(self, settings: FormatSettings | None = None) -> None:
        self._decode = msgspec.json.Decoder(AnyStruct).decode
        self._columns = EventColumns(tapewatch_plan())

    def columns(self, block: RecordBlock, context: DecodeContext) -> Columns | None:
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

    def _read_one(self, value: bytes, record: Record, reading: Reading) -> None:
        try:
            event = self._decode(value)
        except msgspec.MsgspecError:
            self._read_slowly(value, record, reading)
            return
        add_event(event, _KIND_OF[type(event)], record, 0, reading)

    def _read_slowly(self, value: bytes, record: Record, reading: Reading) -> None:
        def read_event(found: object, index: int) -> None:
            add_draft(an_object(found), record, index, reading)

        read_each(parse(value), record, reading, read_event)
