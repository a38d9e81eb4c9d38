"""Feeds hostile records to every format: nothing is raised, and good ones among them come out as without.

Takes a number of records and a seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "decoding")]

from contracts.formats import RIGS  # noqa: E402
from decoding.decode_once import NO_TIME, RECEIVED_NS, a_format, events  # noqa: E402
from hostile_values import hostile  # noqa: E402

from streamer.decoding.dead_letter_reasons import Reason  # noqa: E402
from streamer.decoding.formats import FORMATS, DecodeContext, Format  # noqa: E402
from streamer.messages.batch import Decoded  # noqa: E402
from streamer.messages.records import Record  # noqa: E402

_BATCH = 200
_GOOD = 0.2  # of the records of a batch
SLOWEST_S = 5.0
"""A batch takes some milliseconds; more than this, on any machine, is a record that holds the process."""

_EVENT: dict[str, Any] = {
    "kind": "T", "s": "ABC", "v": "XY", "at": 1722510000123, "iso": "2024-08-01T11:00:00.123Z", "seq": 7,
    "us": "1722510000123456", "p": "10.50", "q": 3, "side": 1, "id": 12, "acc": "a1", "state": "trading",
    "n": {"deep": {"er": 1.5}}, "levels": [["10.4", 5], ["10.3", 6]], "action": "new", "bid": 1, "ask": "2",
}  # fmt: skip
_SIDE = {"path": "side", "map": {1: "buy", -1: "sell"}}
_ORDER = {
    "order_id": "id",
    "action": "action",
    "side": _SIDE,
    "size": "q",
    "price": "p",
    "leaves_size": "bid",
}
_QUOTE = {"bid_price": "bid", "bid_size": "q", "ask_price": "ask", "ask_size": {"constant": 4}}
_METRIC = {"value": "n.deep.er"}
MAPPINGS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": (
        {"event_type": "trade", "symbol": "s", "venue": "v", "ts_event": {"path": "at", "unit": "ms"},
         "trade": {"price": {"path": "p", "scale": 1e-4}, "size": "q", "aggressor_side": _SIDE,
                   "trade_id": "id", "sequence": "seq", "account_id": "acc",
                   "ts_recv": {"path": "us", "unit": "us"}}},
        _EVENT,
    ),
    "kinds": (
        {"event_type": {"path": "kind", "map": {"T": "trade", "Q": "quote", "O": "order", "S": "status",
                                                "M": "metric", "H": "heartbeat"}, "ignore": ["ping", 5]},
         "symbol": {"path": "s", "pattern": "([A-Z]+)", "map": {"ABC": "abc", "XY": "xy"}},
         "ts_event": {"path": "iso", "unit": "iso"},
         "trade": {"price": "p", "size": {"path": "q", "scale": 3}},
         "quote": _QUOTE, "order": _ORDER, "status": {"state": "state"}, "metric": _METRIC},
        _EVENT,
    ),
    "indices": (
        {"event_type": "trade", "symbol": {"from": "key"}, "ts_event": {"path": "us", "unit": "s"},
         "trade": {"price": "levels.0.0", "size": "levels.1.1", "sequence": {"path": "seq", "scale": 2}}},
        {**_EVENT, "us": "1722510000.123456"},
    ),
    "listed": (
        {"event_type": {"path": "^.kind", "map": {"T": "trade"}, "ignore": ["ping"]}, "events": "data.list",
         "symbol": {"from": "topic", "pattern": "t([a-z]+)"}, "venue": {"constant": "here"},
         "ts_event": {"path": "at", "unit": "ns"}, "trade": {"price": "p", "size": "q", "event_id": "^.id"}},
        {"kind": "T", "id": "x", "data": {"list": [{"at": 1722510000123456789, "p": 1, "q": "2"}] * 3}},
    ),
    "file": (
        {"event_type": {"path": "action"}, "symbol": {"from": "file"},
         "metric": {**_METRIC, "ts_event": {"path": "n.deep.er", "unit": "ms"}}, "heartbeat": {}},
        {**_EVENT, "action": "metric"},
    ),
}  # fmt: skip
"""Mappings that use all that a mapping may have, each with a record that it reads."""


@dataclass(frozen=True)
class Subject:
    """A format, and good records for it."""

    name: str
    format: Format
    good: Sequence[bytes]


def subjects() -> list[Subject]:
    """Every registered format in its rig, and the mappings."""
    found = [Subject(name, a_format(RIGS[name].settings), RIGS[name].samples()[:300]) for name in FORMATS]
    for name, (mapping, event) in MAPPINGS.items():
        kinds = {key: value for key, value in event.items() if key in {"kind", "action"}}
        numbered = [{**event, **kinds, "seq": number, "id": str(number)} for number in range(50)]
        values = [json.dumps(one, separators=(",", ":")).encode() for one in numbered]
        found.append(Subject(f"generic, {name}", a_format(mapping), values))
    return found


@dataclass
class Tally:
    """What a run has seen."""

    records: int = 0
    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def fuzz(records: int, seed: int, chosen: Iterable[Subject] | None = None) -> Tally:
    """Decode so many hostile records, spread over the formats; stops at the first problem of each."""
    random, tally = Random(seed), Tally()
    all_subjects = list(subjects() if chosen is None else chosen)
    for subject in all_subjects:
        left = -(-records // len(all_subjects))
        while left > 0 and not tally.problems:
            left -= _batch(subject, random, tally)
    return tally


def _batch(subject: Subject, random: Random, tally: Tally) -> int:
    size = random.choice((1, 3, _BATCH, _BATCH, _BATCH))
    mixed: list[Record] = []
    good: list[Record] = []
    for offset in range(size):
        value: bytes | None = random.choice(subject.good)
        is_good = random.random() < _GOOD
        if not is_good:
            value = hostile(random, value or b"", random.choice(subject.good))
        time_ns = RECEIVED_NS if is_good else random.choice((RECEIVED_NS, NO_TIME, 0))
        key = b"KEY" if is_good else random.choice((b"KEY", None, b"", b"\xff", b"\x00", b"k" * 300))
        mixed.append(Record(offset, value, int(time_ns), key))
        if is_good:
            good.append(mixed[-1])
    context = DecodeContext(
        "topic", "here", ignored=frozenset({"tombstone"} if random.random() < 0.5 else ())
    )
    began = time.perf_counter()
    try:
        decoded = subject.format.decode(mixed, context)
        among = _of({record.offset for record in good}, decoded)
    except Exception as error:
        tally.problems.append(f"{subject.name}: {error!r} at {_first_raising(subject, mixed, context)!r}")
        return size
    took = time.perf_counter() - began
    tally.slowest_s = max(tally.slowest_s, took)
    tally.records += size
    tally.events += len(decoded.batch)
    tally.reasons.update(letter.reason for letter in decoded.dead)
    for letter in decoded.dead:
        if letter.reason == Reason.DECODER_ERROR.value:
            tally.problems.append(f"{subject.name}: {letter.detail} at {letter.value!r}")
    if took > SLOWEST_S:
        tally.problems.append(f"{subject.name}: a batch took {took:.1f} s")
    if among != _of({record.offset for record in good}, subject.format.decode(good, context)):
        tally.problems.append(f"{subject.name}: good records differ among {[one.value for one in mixed]!r}")
    return size


def _of(offsets: set[int], decoded: Decoded) -> tuple[list[Any], list[Any]]:
    """What came of some records; `repr` of a double is exact."""
    rows = [repr(event) for event in events(decoded.batch) if event["at"][0] in offsets]
    return rows, [letter for letter in decoded.dead if letter.offset in offsets]


def _first_raising(subject: Subject, records: Sequence[Record], context: DecodeContext) -> bytes | None:
    for record in records:
        try:
            subject.format.decode([record], context)
        except Exception:
            return record.value
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 where there is a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=1_000_000)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    tally = fuzz(given.records, given.seed)
    for problem in tally.problems[:10]:
        print(problem[:2000])
    print(
        f"{tally.records} records, {tally.events} events, {sum(tally.reasons.values())} dead letters "
        f"({', '.join(f'{reason} {count}' for reason, count in tally.reasons.most_common())}); "
        f"the slowest batch {tally.slowest_s * 1e3:.0f} ms; {len(tally.problems)} problems, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
