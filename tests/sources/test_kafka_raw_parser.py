"""The parser of whole record batches beside kafka-python's own: the same records, or the same error."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.consumer.fetcher import Fetcher
from kafka.record import MemoryRecords, MemoryRecordsBuilder
from parsing import HERE, Aborted, compare

from streamer.messages.record_block import RecordBlock
from streamer.messages.records import NO_TIME
from streamer.sources.kafka.fast.parser_check import (
    LOG_APPEND_TIME,
    batch,
    find_difference,
    marker,
    with_checksum,
)
from streamer.sources.kafka.fast.raw_records import FetchedRecords, RawPartitionRecords

NOON_MS = 1_723_118_400_000
PLAIN, GZIP, SNAPPY, LZ4, ZSTD = range(5)
ROWS = tuple((n, NOON_MS + n, b"k%d" % n, b"value %d" % n, []) for n in range(10))

names = st.text(max_size=5)
blobs = st.one_of(st.none(), st.binary(max_size=40), st.binary(min_size=100, max_size=200))
headers = st.lists(st.tuples(names, blobs), max_size=3)


@st.composite
def batches(draw: st.DrawFn, base: int) -> tuple[bytes, int]:
    """One batch of any kind, and the offset behind it."""
    gaps = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    offsets = [sum(gaps[:n]) for n in range(len(gaps))]
    times = st.integers(-(10**6), 10**6).map(lambda delta: NOON_MS + delta)
    rows = tuple(
        (offset, draw(times), draw(blobs), draw(blobs), draw(st.just([]) | headers)) for offset in offsets
    )
    end = base + offsets[-1] + 1
    kind = draw(st.sampled_from(["data", "data", "data", "marker", "legacy", "empty"]))
    if kind == "marker":
        return marker(base, draw(st.integers(1, 3)), commit=draw(st.booleans())), base + 1
    if kind == "legacy":
        return legacy(base, draw(st.sampled_from([PLAIN, GZIP]))), base + 3
    if kind == "empty":
        return emptied(batch(rows, base=base)), end
    made = batch(
        rows,
        base=base,
        epoch=draw(st.integers(0, 3)),
        attributes=draw(st.sampled_from([PLAIN, PLAIN, PLAIN, GZIP, SNAPPY, LZ4, ZSTD]))
        | draw(st.sampled_from([0, 0, LOG_APPEND_TIME])),
        producer=draw(st.sampled_from([None, None, 1, 2, 3])),
    )
    return made, end


@st.composite
def fetches(draw: st.DrawFn) -> dict[str, Any]:
    """What a fetch may bring, and how it is taken."""
    base, data = draw(st.integers(0, 100)), b""
    for _ in range(draw(st.integers(1, 6))):
        made, base = draw(batches(base))
        base += draw(st.integers(0, 3))
        data += made
    return {
        "data": data[: len(data) - draw(st.sampled_from([0, 0, 1, 30]))],
        "offset": draw(st.integers(0, base)),
        "aborted": draw(st.lists(st.builds(Aborted, st.integers(0, base), st.integers(1, 3)), max_size=3)),
        "committed": draw(st.booleans()),
        "take_sizes": draw(st.lists(st.none() | st.integers(1, 7), min_size=1, max_size=3)),
    }


def legacy(base: int, codec: int) -> bytes:
    """A batch of the format before the current one."""
    builder = MemoryRecordsBuilder(1, codec, 1 << 16)
    for n in range(3):
        builder.append(NOON_MS + n, b"k", b"old %d" % n)
    builder.close()
    data = bytearray(builder.buffer())
    if codec:
        struct.pack_into(">q", data, 0, base + 2)
    else:
        at = 0
        for n in range(3):
            struct.pack_into(">q", data, at, base + n)
            at += 12 + struct.unpack_from(">i", data, at + 8)[0]
    return bytes(data)


def emptied(made: bytes) -> bytes:
    """A batch whose records were all compacted away."""
    data = bytearray(made[:61])
    struct.pack_into(">i", data, 8, 49)
    struct.pack_into(">i", data, 57, 0)
    return with_checksum(data)


@given(fetches())
@settings(max_examples=40, deadline=None)
def test_both_parsers_say_the_same(fetch: dict[str, Any]) -> None:
    compare(**fetch)


@given(fetches(), st.data())
@settings(max_examples=40, deadline=None)
def test_both_parsers_say_the_same_of_damage(fetch: dict[str, Any], draw: st.DataObject) -> None:
    data = bytearray(fetch.pop("data"))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data) - 1))
        data[at] = draw.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    compare(bytes(data), **fetch)


@given(st.integers(61, 400), st.binary(min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_both_parsers_say_the_same_of_malformed_records(at: int, put: bytes, draw: st.DataObject) -> None:
    codec = draw.draw(st.sampled_from([PLAIN, PLAIN, GZIP]))
    made = bytearray(batch(base=20))
    at = min(at, len(made) - 1)
    made[at : at + draw.draw(st.integers(0, len(put)))] = put
    struct.pack_into(">i", made, 8, len(made) - 12)
    if codec:
        unpacked = bytes(made[61:])
        made = bytearray(batch(base=20, attributes=GZIP))
        made[61:] = gzip.compress(unpacked)
        struct.pack_into(">i", made, 8, len(made) - 12)
    result = compare(batch(base=10) + with_checksum(made) + batch(base=40), take_sizes=(3,))
    assert [record.offset for record in result.records[:4]] == [10, 11, 14, 15]


def test_plain_records_come_as_one_block() -> None:
    parser = RawPartitionRecords(0, HERE, MemoryRecords(batch(ROWS) + batch(ROWS, base=10)))
    taken = parser.take()
    (block,) = taken
    assert isinstance(block, RecordBlock)
    assert len(taken) == len(block) == 20
    assert parser.next_fetch_offset == 20
    assert not parser


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_compressed_records_come_as_one_block(codec: int) -> None:
    data = batch(ROWS, attributes=codec) + batch(ROWS, base=10, attributes=codec)
    (block,) = RawPartitionRecords(0, HERE, MemoryRecords(data)).take()
    assert isinstance(block, RecordBlock)
    assert [record.value for record in block] == [row[3] for row in ROWS] * 2


def test_what_was_taken_is_where_the_position_is() -> None:
    data = (
        batch(ROWS, epoch=1) + batch(ROWS, base=12, epoch=2) + batch(ROWS, base=30, epoch=3, attributes=GZIP)
    )
    parser = RawPartitionRecords(3, HERE, MemoryRecords(data))
    positions = []
    while parser:
        taken = [record.offset for block in parser.take(4) for record in block]
        positions.append((taken, parser.next_fetch_offset, parser.leader_epoch))
    assert positions == [
        ([3, 4, 5, 6], 7, 1),
        ([7, 8, 9, 12], 13, 2),
        ([13, 14, 15, 16], 17, 2),
        ([17, 18, 19, 20], 21, 2),
        ([21, 30, 31, 32], 33, 3),
        ([33, 34, 35, 36], 37, 3),
        ([37, 38, 39], 40, 3),
    ]


def test_nothing_before_a_damaged_batch_is_lost() -> None:
    damaged = bytearray(batch(ROWS, base=10))
    damaged[-1] ^= 1
    data = batch(ROWS) + bytes(damaged) + batch(ROWS, base=20)
    parser = RawPartitionRecords(0, HERE, MemoryRecords(data))
    assert len(parser.take()) == 10
    for _ in range(2):
        with pytest.raises(Exception, match="at offset 10 failed crc check"):
            parser.take()
        assert parser.next_fetch_offset == 10


def test_records_of_a_transaction_that_was_aborted_are_passed_over() -> None:
    data = batch(ROWS, producer=1) + batch(ROWS, base=10, producer=2) + marker(20, 1, commit=False)
    data += marker(21, 2, commit=True) + batch(ROWS, base=22, producer=1) + marker(32, 1, commit=True)
    result = compare(data, aborted=[Aborted(0, 1)])
    assert [record.offset for record in result.records] == [*range(10, 20), *range(22, 32)]
    assert result.position == 33
    assert len(compare(data, committed=False).records) == 30


def test_times_are_those_of_the_log_where_the_log_sets_them() -> None:
    rows = ((0, NOON_MS, None, b"a", []), (1, NOON_MS + 5, None, b"b", []))
    assert [one.timestamp for one in compare(batch(rows)).records] == [
        NOON_MS * 10**6,
        (NOON_MS + 5) * 10**6,
    ]
    at_append = compare(batch(rows, attributes=LOG_APPEND_TIME)).records
    assert {one.timestamp for one in at_append} == {(NOON_MS + 5) * 10**6}
    without = ((0, -1, None, b"a", []),)
    assert compare(batch(without)).records[0].timestamp == NO_TIME


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({57: (">i", 11)}, "IndexError"),
        ({57: (">i", 9)}, "unconsumed bytes"),
        ({57: (">i", 2**31 - 1)}, "IndexError"),
        ({57: (">i", -1)}, "unconsumed bytes"),
        ({27: (">q", 2**63 - 1)}, ""),
        ({27: (">q", -(2**63))}, ""),
        ({27: (">q", 10**13)}, ""),  # a time that ns cannot tell
        ({21: (">h", LOG_APPEND_TIME), 35: (">q", 10**13)}, ""),
        ({21: (">h", LOG_APPEND_TIME), 35: (">q", -1)}, ""),
        ({0: (">q", 2**63 - 1)}, "the next one begins at 50"),
        ({0: (">q", 45)}, "the next one begins at 50"),
        ({0: (">q", 5)}, "says that it holds offsets 5 to 14"),
        ({0: (">q", -5)}, "says that it holds offsets -5 to 4"),
        ({23: (">i", 0)}, ""),
        ({23: (">i", -1)}, "says that it holds offsets 10 to 9"),
        ({16: (">b", 3)}, "unknown format 3"),
        ({16: (">b", 1)}, "failed crc check"),
        ({21: (">h", 0x40)}, ""),
        ({8: (">i", 20)}, "shorter than its header"),
        ({8: (">i", -1)}, "length in the header"),
        ({8: (">i", -500)}, "length in the header"),
    ],
)
def test_header_fields_are_believed_in_nothing(fields: dict[int, tuple[str, int]], shown: str) -> None:
    made = bytearray(batch(ROWS, base=10))
    for at, (form, number) in fields.items():
        struct.pack_into(form, made, at, number)
    if 8 not in fields:
        made = bytearray(with_checksum(made))
    assert shown in compare(batch(ROWS) + bytes(made) + batch(ROWS, base=50), offset=0).error


NUMBERS = {
    "least": b"\xff" * 9 + b"\x01",
    "greatest": b"\xfe" + b"\xff" * 8 + b"\x01",
    "beyond": b"\xff" * 9 + b"\x02",
    "far beyond": b"\x80" * 9 + b"\x7e",
    "too long": b"\x80" * 10 + b"\x00",
    "long zero": b"\x80" * 9 + b"\x00",
    "long five": b"\x8a\x80\x80\x80\x80\x00",
    "padded": b"\x8a\x00",
    "minus two": b"\x03",
}


@pytest.mark.parametrize("field", range(6))
@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_in_any_writing(field: int, number: str) -> None:
    """In the place of attributes, deltas of time and offset, sizes of key and value, the count of headers."""
    fields = [b"\x00", b"\x0a", b"\x0a", b"\x0a", b"\x0a", b"\x00"]
    fields[field] = NUMBERS[number]
    fields[3] += b"key 1" if field != 3 or "five" in number or number == "padded" else b""
    fields[4] += b"value" if field != 4 or "five" in number or number == "padded" else b""
    record = b"".join(fields)
    made = bytearray(batch(ROWS[:1], base=10)[:61]) + bytes([2 * len(record)]) + record
    struct.pack_into(">i", made, 8, len(made) - 12)
    struct.pack_into(">i", made, 23, 5)
    result = compare(batch(ROWS) + with_checksum(made) + batch(ROWS, base=40))
    if number == "padded" and field in {1, 2, 3, 4}:
        assert len(result.records) == 21


def test_long_attributes_are_not_taken_for_the_next_field() -> None:
    record = b"\x80\x00\x00\x00\x01\x02\x00\x00"  # with attributes of one byte: no value, and a header
    made = bytearray(batch(ROWS[:1], base=10)[:61]) + bytes([2 * len(record)]) + record
    struct.pack_into(">i", made, 8, len(made) - 12)
    assert compare(with_checksum(made)).records[0].value == b"\x00"


def test_what_is_unpacked_is_not_all_held_at_once() -> None:
    large = ((0, NOON_MS, None, bytes(5_000_000), []),)
    data = b"".join(batch(large, base=n, attributes=GZIP) for n in range(5))
    parser = RawPartitionRecords(0, HERE, MemoryRecords(data))
    blocks = list(parser.take())
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert len({id(block.arena) for block in blocks}) == 3


def test_many_records_of_an_older_format() -> None:
    data = batch(ROWS) + b"".join(legacy(10 + 3 * n, PLAIN) for n in range(400)) + batch(ROWS, base=2000)
    assert len(compare(data, take_sizes=(7, 900)).records) == 1220


@pytest.mark.parametrize("name", ["ümlaut", "名"])
def test_headers_in_any_script(name: str) -> None:
    rows = ((0, NOON_MS, None, b"a", [(name, b"v")]), *ROWS[1:])
    assert compare(batch(rows)).records[0].headers == ((name, b"v"),)


def test_offsets_that_do_not_rise_are_damage_to_either_parser() -> None:
    repeated = ((0, NOON_MS, None, b"a", []), (0, NOON_MS, None, b"b", []))
    result = compare(batch(ROWS) + batch(repeated, base=20) + batch(ROWS, base=30))
    assert len(result.records) == 11  # those before


@pytest.mark.parametrize("most", [1, None])
def test_batches_that_overlap_are_left_to_the_other_parser(most: int | None) -> None:
    empty = emptied(batch(ROWS, base=3))
    compare(batch(ROWS, base=100) + empty + batch(ROWS, base=10), take_sizes=(most,))
    compare(batch(ROWS, base=100) + empty + bytes(10 * [0]) + batch(ROWS, base=110)[10:], take_sizes=(most,))


GUARDED = """
import ctypes, mmap, random
import numpy as np
from streamer.sources.kafka.fast import batch_kernels as batches
from streamer.sources.kafka.fast.parser_check import batch

PAGE = mmap.PAGESIZE
SIZE = 4 * PAGE
libc = ctypes.CDLL(None, use_errno=True)
room = mmap.mmap(-1, SIZE + 2 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(room))
for guard in (start, start + PAGE + SIZE):
    assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), 0) == 0
inside = np.frombuffer(room, np.uint8, SIZE, PAGE)
choice = random.Random({seed})
made = batch(base=5) + batch(base=15) + batch(base=25)
read = scanned = 0
for number in range({count}):
    data = bytearray(made[: choice.randrange(len(made))] if choice.random() < 0.3 else made)
    for _ in range(choice.randrange(4)):
        if data:
            data[choice.randrange(len(data))] = choice.choice([0, 1, 0x7F, 0x80, 0xFF, choice.randrange(256)])
    at = 0 if number % 2 else SIZE - len(data)
    view = inside[at : at + len(data)]
    view[:] = np.frombuffer(data, np.uint8)
    table = np.empty((choice.randrange(5), batches.COLUMNS), np.int64)
    scanned += (n := batches.scan(view, bool(choice.randrange(2)), table))
    table = table[:n].copy()
    assert (table[:, batches.END] <= len(data)).all()
    for _ in range(choice.randrange(4) if n else 0):
        wild = [0, 1, -1, 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63), len(data) + 40, number % 500]
        column = choice.choice([batches.START, batches.END, batches.COUNT, choice.randrange(batches.COLUMNS)])
        table[choice.randrange(n), column] = choice.choice(wild)
    columns = np.full((7, choice.randrange(20) + 1), -7, np.int64)
    rows, count, _ = batches.read(view, table, choice.randrange(30), columns[:, :-1])
    assert (columns[:, -1] == -7).all() and rows < columns.shape[1]
    for position, size in ((2, 3), (4, 5)):
        ends = columns[position, :rows] + np.maximum(columns[size, :rows], 0)
        assert (columns[position, :rows] >= 0).all() and (ends <= len(data)).all()
    read += rows
print(scanned, read)
"""


def test_nothing_outside_the_bytes_is_read() -> None:
    """Memory that must not be touched lies right before and behind the bytes: a touch ends the process."""
    program = GUARDED.format(seed=1, count=12_000)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scanned, read = map(int, done.stdout.split())
    assert scanned > 12_000
    assert read > 6_000


class Forgetful(RawPartitionRecords):
    """Leaves out one record."""

    def take(self, n: int | None = None) -> Any:
        taken = super().take(n)
        taken.parts = [part[1:] if len(part) > 3 else part for part in taken.parts]
        return taken


class Behind(RawPartitionRecords):
    """Is elsewhere than it says."""

    def take(self, n: int | None = None) -> Any:
        taken = super().take(n)
        self.next_fetch_offset -= 1
        return taken


class Endless(RawPartitionRecords):
    """Gives nothing, and never says that it is done."""

    def take(self, n: int | None = None) -> Any:
        return FetchedRecords()


class Foreign(Fetcher.PartitionRecords):
    """As a version of kafka-python might be that has other names."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise TypeError("unexpected keyword argument 'isolation_level'")


class Lenient(RawPartitionRecords):
    """Does not check checksums."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"check_crcs": False})


@pytest.mark.parametrize(
    ("parser", "reason"),
    [
        (Forgetful, "parsers differ in records"),
        (Behind, "parsers differ in position"),
        (Endless, "does not come to an end"),
        (Foreign, "TypeError: unexpected keyword"),
        (Lenient, "parsers differ in epoch"),
    ],
)
def test_the_check_at_start_finds_what_differs(parser: type, reason: str) -> None:
    assert reason in str(find_difference(parser))


def test_the_check_at_start_finds_no_difference_where_there_is_none() -> None:
    assert find_difference(RawPartitionRecords) is None
    assert find_difference(Fetcher.PartitionRecords) is None
