"""Real captures of Binance's streams, repeated with their times and ids moved on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.workload import Stream
from streamer.messages.records import Partition, Record
from streamer.sources.files.file_records import FileInput, FileRecords

DATA = "TAPEWATCH_DATA"
"""Names the folder of larger captures; without it the small committed ones are repeated."""

_COMMITTED = Path(__file__).parents[1] / "tests" / "data"
_TOPICS = {"spot": "spot", "usdm": "perp"}
_MOVING = re.compile(rb'"(E|T|t|u|U|pu|lastUpdateId)":([0-9]+)')
_TIMES = frozenset((b"E", b"T"))
_TRADE_ID = frozenset((b"t",))
_NS_PER_MS = 1_000_000


def captures(at_least: int) -> list[Stream]:
    """The captures, each as a partition, repeated until they have `at_least` records together.

    A repetition begins a ms after the last one ended, and its ids go on where that one's ended, so that no
    rule takes the seam for a gap.
    """
    found = {path: list(FileRecords(FileInput(path, "ns"))) for path in _files()}
    records = sum(len(each) for each in found.values())
    times = [record.timestamp // _NS_PER_MS for each in found.values() for record in each]
    span_ms = max(times) - min(times) + 1
    repeats = -(-at_least // records)
    return [
        _repeated(each, repeats, span_ms, f"{_topic(path)}.{path.name.split('.')[0]}")
        for path, each in found.items()
    ]


def which() -> str:
    """What is repeated, in words."""
    return "those of the repository" if not os.environ.get(DATA) else f"real ones, by {DATA}"


def once(streams: Sequence[Stream], at_most: int) -> list[bytes]:
    """The first values of all streams together, in the order of their times."""
    first = [(int(each.times[at]), number, at) for number, each in enumerate(streams) for at in range(
        min(len(each), at_most)
    )]  # fmt: skip
    return [streams[number].values[at] for _, number, at in sorted(first)[:at_most]]


def _files() -> list[Path]:
    given = os.environ.get(DATA)
    folder = Path(given) / "binance" if given else _COMMITTED
    return sorted([*folder.glob("spot_*.gz"), *folder.glob("usdm_*.gz")])


def _topic(path: Path) -> str:
    return _TOPICS[path.name.partition("_")[0]]


def _repeated(records: Sequence[Record], repeats: int, span_ms: int, topic: str) -> Stream:
    parts = [_taken_apart(record.value or b"") for record in records]
    spans = {
        trades: _span(number for each in parts for key, number in each[1::2] if _kind(key) == trades)
        for trades in (True, False)
    }
    values = [
        _moved(each, again * span_ms, {kind: again * span for kind, span in spans.items()})
        for again in range(repeats)
        for each in parts
    ]
    at = np.array([record.timestamp for record in records], np.int64)
    times = np.concatenate([at + again * span_ms * _NS_PER_MS for again in range(repeats)])
    return Stream(Partition(topic, "benchmark", 0), values, times)


def _taken_apart(value: bytes) -> list[tuple[bytes, int]]:
    """Pieces and numbers that move on, in turn: each with its key, which a piece does not have."""
    found: list[tuple[bytes, int]] = []
    at = 0
    for match in _MOVING.finditer(value):
        found += [(value[at : match.start(2)], 0), (match[1], int(match[2]))]
        at = match.end(2)
    found.append((value[at:], 0))
    return found


def _kind(key: bytes) -> bool | None:
    """True for a trade's id, False for a book's, None for a time."""
    return None if key in _TIMES else key in _TRADE_ID


def _span(numbers: Iterator[int]) -> int:
    found = list(numbers)
    return max(found) - min(found) + 1 if found else 0


def _moved(parts: Sequence[tuple[bytes, int]], later_ms: int, by: dict[bool, int]) -> bytes:
    pieces = []
    for place, (text, number) in enumerate(parts):
        if place % 2:
            kind = _kind(text)
            pieces.append(b"%d" % (number + (later_ms if kind is None else by[kind])))
        else:
            pieces.append(text)
    return b"".join(pieces)
