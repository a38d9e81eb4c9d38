"""Reads a sample of records with a preset, to find out what a first configuration has to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.app.shared_instruments import SharedInstruments, shared_instruments
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import KIND_NAMES
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import FORMATS, DecodeContext, Format, build_format
from streamer.errors import TapewatchError
from streamer.messages.batch import Batch, Instrument
from streamer.messages.logs import Log
from streamer.messages.records import Partition, Record
from streamer.messages.texts import ABSENT

PRESETS = tuple(name for name in FORMATS if name != "generic")
"""The formats that need no mapping, so that a topic can be sampled with them."""

_USUAL_VENUE: Mapping[str, str] = {"binance": "binance"}
_DEFAULT_VENUE = "main"


@dataclass(frozen=True, slots=True)
class TopicSample:
    """What a sample of records holds, as a preset reads it: of one topic, or of several.

    Parameters
    ----------
    records
        How many records were sampled.
    venue
        The venue that its settings must name, None if the events do.
    kinds
        Number of events by kind.
    fields
        The event fields that occur.
    instruments
        In order of appearance.
    unusable, ignored
        Number of unusable records by reason, and of messages that the preset knows but does not use, by name.
    joins
        Topics that have instruments in common, as `source.join` names them.
    """

    records: int
    venue: str | None
    kinds: Mapping[str, int]
    fields: frozenset[str]
    instruments: tuple[Instrument, ...]
    unusable: Mapping[str, int]
    ignored: Mapping[str, int]
    joins: tuple[SharedInstruments, ...] = ()


PartitionedRecords = Mapping[int, Sequence[Record]]
"""Records by partition; partitions without any too."""


def inspect_topics(preset: str, topics: Mapping[str, PartitionedRecords], venue: str | None) -> TopicSample:
    """Decode sampled records of several topics with a preset, and find out which topics belong together.

    Parameters
    ----------
    preset, venue
        As for `inspect_records`.
    topics
        The records of each topic.

    Raises
    ------
    TapewatchError
        As `inspect_records`, for the first topic of which nothing can be read.
    """
    samples = []
    found: dict[Log, tuple[Instrument, ...]] = {}
    for topic, partitions in topics.items():
        records = [record for of_partition in partitions.values() for record in of_partition]
        samples.append(inspect_records(preset, topic, venue, records))
        for number, of_partition in partitions.items():
            if of_partition:
                read = _decoded(preset, topic, samples[-1].venue, of_partition)
                found[Log.of(Partition(topic, "", number))] = read
    counts = {topic: len(partitions) for topic, partitions in topics.items()}
    return replace(_together(samples), joins=tuple(shared_instruments(found, counts)))


def _decoded(preset: str, topic: str, venue: str | None, records: Sequence[Record]) -> tuple[Instrument, ...]:
    batch = _format(preset).decode(records, DecodeContext(topic, venue)).batch
    return tuple(batch.instruments[code] for code in dict.fromkeys(batch.instrument.tolist()))


def _together(samples: Sequence[TopicSample]) -> TopicSample:
    filled = [sample for sample in samples if sample.records] or samples
    kinds, unusable, ignored = Counter[str](), Counter[str](), Counter[str]()
    for sample in filled:
        kinds.update(sample.kinds)
        unusable.update(sample.unusable)
        ignored.update(sample.ignored)
    return TopicSample(
        sum(sample.records for sample in filled),
        next((sample.venue for sample in filled if sample.venue is not None), None),
        dict(kinds.most_common()),
        frozenset[str]().union(*(sample.fields for sample in filled)),
        tuple(dict.fromkeys(instrument for sample in filled for instrument in sample.instruments)),
        dict(unusable.most_common()),
        dict(ignored),
    )


def inspect_records(preset: str, topic: str, venue: str | None, records: Sequence[Record]) -> TopicSample:
    """Decode sampled records with a preset.

    Parameters
    ----------
    preset
        One of `PRESETS`.
    topic
        The topic they are from.
    venue
        The venue of events that name none, None to find out whether one is needed.
    records
        The records; without any, the fields are all that the preset can provide.

    Raises
    ------
    TapewatchError
        When the preset cannot read any of them; the message says which one can.
    """
    file_format = _format(preset)
    if venue is None and file_format.needs_venue:
        venue = _USUAL_VENUE.get(preset, _DEFAULT_VENUE)
    if not records:
        provided = frozenset[str]().union(*file_format.provides.values())
        return TopicSample(0, venue, {}, provided, (), {}, {})
    decoded = file_format.decode(records, DecodeContext(topic, venue))
    reasons = Counter(letter.reason for letter in decoded.dead)
    if venue is None and reasons[Reason.NO_VENUE]:
        return inspect_records(preset, topic, _DEFAULT_VENUE, records)
    if not len(decoded.batch) and not decoded.ignored:
        raise TapewatchError(_unreadable(preset, topic, venue, records, reasons))
    kinds = Counter(KIND_NAMES[kind] for kind in decoded.batch.kind.tolist())
    return TopicSample(
        len(records),
        venue,
        dict(kinds.most_common()),
        _fields(decoded.batch),
        tuple(decoded.batch.instruments[i] for i in dict.fromkeys(decoded.batch.instrument.tolist())),
        dict(reasons.most_common()),
        dict(decoded.ignored),
    )


def _format(preset: str) -> Format:
    return build_format(FormatSettings.model_validate(preset))


def _unreadable(
    preset: str, topic: str, venue: str | None, records: Sequence[Record], reasons: Mapping[str, int]
) -> str:
    context = DecodeContext(topic, venue or _DEFAULT_VENUE)
    others = {name: len(_format(name).decode(records, context).batch) for name in PRESETS if name != preset}
    best = max(others, key=lambda name: others[name])
    counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    advice = (
        f"the preset {best} reads it: tapewatch init {best} --topic {topic}"
        if others[best]
        else "to map your own fields, start from examples/generic.yaml"
    )
    return f"none of {len(records):,} records of topic '{topic}' is {preset} ({counts}); {advice}"


def _fields(batch: Batch) -> frozenset[str]:
    numbers = {name for name, column in batch.numbers.items() if not np.isnan(column).all()}
    return frozenset(numbers | {name for name, codes in batch.texts.items() if (codes != ABSENT).any()})
