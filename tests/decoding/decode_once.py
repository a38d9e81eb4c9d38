"""What the tests of decoding share: records out of values, and events out of batches."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import DecodeContext, Format, build_format
from streamer.messages.batch import Batch, Decoded, Kind
from streamer.messages.records import NO_TIME, Record

RECEIVED_NS = 1_723_161_255_342_000_000
Value = bytes | str | dict[str, Any] | list[Any] | None


def a_format(settings: object) -> Format:
    return build_format(FormatSettings.model_validate(settings))


def as_bytes(value: Value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def records(values: Iterable[Value], timestamp: int = RECEIVED_NS, key: bytes | None = None) -> list[Record]:
    return [Record(offset, as_bytes(value), timestamp, key) for offset, value in enumerate(values)]


def decode(
    settings: object,
    *values: Value,
    topic: str = "topic",
    venue: str | None = "here",
    timestamp: int = RECEIVED_NS,
    key: bytes | None = None,
) -> Decoded:
    return a_format(settings).decode(records(values, timestamp, key), DecodeContext(topic, venue))


def events(batch: Batch) -> list[dict[str, Any]]:
    """Each event with all that the batch says of it."""
    return [
        {
            "kind": Kind(int(batch.kind[row])).name.lower(),
            "instrument": tuple(batch.instruments[batch.instrument[row]]),
            "ts": int(batch.ts[row]),
            "record_ts": int(batch.record_ts[row]),
            "at": (int(batch.offset[row]), int(batch.index[row])),
            **batch.event(row),
        }
        for row in range(len(batch))
    ]


def reasons(decoded: Decoded) -> list[tuple[int, int, str]]:
    return [(letter.offset, letter.index, letter.reason) for letter in decoded.dead]


def only_reason(settings: object, value: Value, **surroundings: Any) -> tuple[str, str]:
    """Reason and detail of the one dead letter that a single record becomes."""
    decoded = decode(settings, value, **surroundings)
    assert len(decoded.batch) == 0, events(decoded.batch)
    assert not decoded.ignored
    (letter,) = decoded.dead
    return letter.reason, letter.detail


__all__ = [
    "NO_TIME",
    "RECEIVED_NS",
    "a_format",
    "as_bytes",
    "decode",
    "events",
    "only_reason",
    "reasons",
    "records",
]
