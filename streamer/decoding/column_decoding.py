"""Decoding in two paths: kernels read whole blocks into columns, the slow path the records they leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import structlog
from numpy.typing import NDArray

from streamer.decoding.event_fields import ENUM_CODES, ENUM_STRINGS, NUMBER_FIELDS, TEXT_FIELDS
from streamer.decoding.instruments import InstrumentTable
from streamer.decoding.merged_batches import merged_rows
from streamer.messages.batch import Batch, Decoded
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.messages.texts import Codes, Strings, Texts, TextSource

MIN_BLOCK = 16
"""Fewer records than this take the slow path: it is quicker than calling the kernels."""

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class EventRows:
    """The m records of a block that kernels decoded, one event each, in order.

    Parameters
    ----------
    place
        intp[m], the records' indices in the block, increasing.
    kind, instrument, ts
        As in a `Batch`; instruments are indices of an `InstrumentTable`.
    numbers, texts
        Columns of length m by name; a column that is empty in every row is left out.
    """

    place: Rows
    kind: NDArray[np.int8]
    instrument: NDArray[np.int32]
    ts: NDArray[np.int64]
    numbers: Mapping[str, Floats]
    texts: Mapping[str, Codes | TextSource]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedColumns:
    """The kernels' result for a block.

    Parameters
    ----------
    events
        The decoded events.
    slow
        intp[k], indices of the records left to the slow path, increasing.
    ignored
        Counts, by name, of records that the format knows but does not use.
    table
        The instruments that `events.instrument` indexes.
    """

    events: EventRows
    slow: Rows
    ignored: Mapping[str, int]
    table: InstrumentTable


def as_batch(events: EventRows, block: RecordBlock, table: InstrumentTable, source: int) -> Batch:
    """The events that kernels decoded, as a batch."""
    n = len(events.place)
    whole = n == len(block)
    sources = np.empty(n, np.int16)
    sources.fill(source)
    return Batch(
        instruments=table.instruments,
        instrument=events.instrument,
        kind=events.kind,
        ts=events.ts,
        record_ts=block.timestamp if whole else block.timestamp[events.place],
        source=sources,
        offset=block.offset if whole else block.offset[events.place],
        index=np.zeros(n, np.int16),
        numbers=MappingProxyType(
            {name: events.numbers[name] for name in NUMBER_FIELDS if name in events.numbers}
        ),
        texts=Texts(
            Strings([*ENUM_STRINGS], {**ENUM_CODES}),
            {name: events.texts[name] for name in TEXT_FIELDS if name in events.texts},
        ),
    )


def decode_records(
    records: Sequence[Record],
    source: int,
    columns: Callable[[RecordBlock], DecodedColumns | None],
    slow_path: Callable[[Sequence[Record]], Decoded],
    min_block: int = MIN_BLOCK,
) -> Decoded:
    """Decode records with kernels where possible, and record by record where not.

    Parameters
    ----------
    records
        In order.
    source
        The value of `Batch.source` for every row.
    columns
        The kernels: returns their result for a block, None if they cannot read such records.
    slow_path
        Decodes records one at a time.
    min_block
        Fewer records than this go to the slow path right away.
    """
    if len(records) >= min_block:
        block = records if isinstance(records, RecordBlock) else RecordBlock.of(records)
        decoded = _read_columns(columns, block)
        if decoded is not None:
            return _with_slow_path(decoded, block, source, slow_path)
    return slow_path(records)


def _read_columns(
    columns: Callable[[RecordBlock], DecodedColumns | None], block: RecordBlock
) -> DecodedColumns | None:
    """The kernels' result; None if they fail, since record by record only the one at fault is refused."""
    try:
        return columns(block)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (the last resort)
        _log.exception("kernels_failed", records=len(block), until="decoded one by one")
        return None


def _with_slow_path(
    decoded: DecodedColumns,
    block: RecordBlock,
    source: int,
    slow_path: Callable[[Sequence[Record]], Decoded],
) -> Decoded:
    """Decode what the kernels left, and merge both results in record order."""
    batch = as_batch(decoded.events, block, decoded.table, source)
    if not len(decoded.slow):
        return Decoded(batch, (), MappingProxyType(dict(decoded.ignored)))
    rest = slow_path([block[place] for place in decoded.slow.tolist()])
    names = dict.fromkeys([*decoded.ignored, *rest.ignored])
    ignored = {name: decoded.ignored.get(name, 0) + rest.ignored.get(name, 0) for name in names}
    return Decoded(_merged(batch, rest.batch, decoded.table), rest.dead, MappingProxyType(ignored))


def _merged(first: Batch, second: Batch, table: InstrumentTable) -> Batch:
    if not len(second):
        return first
    instruments = np.array([table.number(instrument) for instrument in second.instruments], np.int32)
    order = np.argsort(np.concatenate([first.offset, second.offset]), kind="stable")
    numbers = [first.instrument, instruments[second.instrument]]
    return merged_rows([first, second], order, numbers, table.instruments)
