"""Records taken as blocks are those that are read one by one."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from json_kernels.guarded import GuardedMemory

from streamer.errors import TapewatchError
from streamer.messages.record_block import PADDING, RecordBlock
from streamer.messages.records import Record
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.files.file_settings import ReceiveUnit
from streamer.sources.files.file_source import FileSource
from streamer.sources.files.line_kernels import split
from streamer.sources.files.line_reader import LINE_MAX_BYTES
from streamer.sources.paced_source import PacedSource

Told = tuple[tuple[Record, ...] | str, Mapping[str, int]]
"""A chunk, or why there is none, and what was skipped until then."""

UNITS: tuple[ReceiveUnit | None, ...] = (None, "s", "ms", "us", "ns")
PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}

_GUARDED = GuardedMemory(1 << 16)

numbers = st.one_of(
    st.integers(0, 10**20).map(str),
    st.sampled_from(
        ["1723161253937085768", "172316125393", "00001723161253937085", "0" * 12, "99999999999999999999"]
    ),
    # the last second there is, and what lies about it, in each unit
    st.builds(
        lambda digits, more: str(7258118400 * 10**digits + more),
        st.sampled_from([0, 3, 6, 9]),
        st.integers(-2, 2),
    ),
    st.text("0123456789", max_size=24),
)
fractions = st.one_of(st.just(""), st.text("0123456789", max_size=14).map(lambda digits: "." + digits))
times = st.builds(
    lambda *parts: "".join(parts).encode(),
    numbers,
    fractions,
    st.sampled_from([" ", ": ", ":", "", "  ", "x "]),
)
bodies = st.sampled_from(
    [b'{"a":1}', b"{}", b"", b" ", b'{"text":"12345678901234567890"}', b"\xff\x00", b"\xd0\x96"]
)
endings = st.sampled_from([b"", b"", b"", b"\r", b"\r\r", b" \r", b"\t"])
marks = st.sampled_from(
    [
        b"",
        b"   ",
        b"\r",
        b"\x0b\x0c",
        b"\xef\xbb\xbf{}",
        b"configuration: {}",
        b"wss://a <-> 1.5",
        b"http://a ?? 1",
    ]
)
lines = st.one_of(
    st.builds(lambda *parts: b"".join(parts), times, bodies, endings),
    st.builds(lambda *parts: b"".join(parts), bodies, endings),
    marks,
    st.binary(max_size=40),
)
contents = st.builds(
    lambda found, end: b"\n".join(found) + end,
    st.lists(lines, max_size=30),
    st.sampled_from([b"", b"\n", b"\r\n"]),
)


def one_by_one(file: FileInput, count: int) -> list[Told]:
    """What reading record by record says, so many at a time."""
    records = FileRecords(file)
    each = iter(records)
    damage: list[TapewatchError] = []

    def take() -> tuple[Record, ...]:
        if damage:
            raise damage[0]
        taken: list[Record] = []
        try:
            taken.extend(islice(each, count))
        except TapewatchError as error:
            damage.append(error)
            if not taken:
                raise
        return tuple(taken)

    return _told(records, take)


def by_blocks(file: FileInput, count: int, piece: int) -> list[Told]:
    """The same of blocks."""
    records = FileRecords(file, piece)
    return _told(records, lambda: tuple(records.take(count)))


def _told(records: FileRecords, take: Callable[[], tuple[Record, ...]]) -> list[Told]:
    found: list[Told] = []
    try:
        while chunk := take():
            found.append((chunk, dict(records.skipped)))
        found.append(("the end", dict(records.skipped)))
    except TapewatchError as error:
        found.append((str(error), {}))
    finally:
        records.close()
    return found


@settings(max_examples=50, deadline=None)
@given(
    contents, st.sampled_from(UNITS), st.integers(1, 12), st.integers(1, 300), st.sampled_from(sorted(PACKED))
)
def test_blocks_hold_the_records_of_any_file(
    content: bytes, unit: ReceiveUnit | None, count: int, piece: int, packed: str
) -> None:
    with TemporaryDirectory() as folder:
        file = FileInput(Path(folder) / f"some.jsonl{packed}", unit)
        file.path.write_bytes(PACKED[packed](content))
        assert by_blocks(file, count, piece) == one_by_one(file, count)


@cache
def _numbered(packed: str) -> bytes:
    return PACKED[packed](
        b"".join(b'%d {"number":%d}\n' % (number, number * 7919) for number in range(12_000))
    )


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([".gz", ".zst"]), st.data())
def test_of_a_damaged_file_as_many_records_come_before_the_reason(packed: str, data: st.DataObject) -> None:
    whole = bytearray(_numbered(packed))
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[place:]
    else:
        whole[place] ^= data.draw(st.integers(1, 255))
    with TemporaryDirectory() as folder:
        file = FileInput(Path(folder) / f"some.jsonl{packed}", "ms")
        file.path.write_bytes(whole)
        count = data.draw(st.sampled_from([100, 1_000, 9_000]))
        piece = data.draw(st.sampled_from([10_000, 300_000, 1 << 20]))
        assert by_blocks(file, count, piece) == one_by_one(file, count)


@pytest.mark.parametrize(("piece", "end"), [(1 << 16, b""), (1 << 24, b"\n"), (1 << 16, b"\n11 {}")])
def test_too_long_lines_are_cut_as_ever(tmp_path: Path, piece: int, end: bytes) -> None:
    long = [
        b"5 a",
        b"6 " + b"b" * (LINE_MAX_BYTES - 3),
        b"7 " + b"c" * (LINE_MAX_BYTES - 2),
        b"8 " + b"d" * (LINE_MAX_BYTES - 3) + b"\r\r e",
        b"wss://a <-> " + b"f" * LINE_MAX_BYTES,
        b"9 g",
        b"10 " + b"h" * (LINE_MAX_BYTES + piece),
    ]
    file = FileInput(tmp_path / "some.jsonl", "ms")
    file.path.write_bytes(b"\n".join(long) + end)
    assert by_blocks(file, 2, piece) == one_by_one(file, 2)


def test_memory_is_bounded_however_long_a_line(tmp_path: Path) -> None:
    file = FileInput(tmp_path / "some.jsonl")
    file.path.write_bytes(b"a\n" + b"b" * (5 * LINE_MAX_BYTES) + b"\nc\n")
    records = FileRecords(file)
    block = records.take(3)
    records.close()
    assert isinstance(block, RecordBlock)
    assert [len(record.value or b"") for record in block] == [1, LINE_MAX_BYTES, 1]
    assert len(block.arena) < 3 * LINE_MAX_BYTES


class Starts:
    """Answers that reading starts at an offset."""

    def __init__(self, at: int) -> None:
        self._at = at

    def assigned(self, logs):  # type: ignore[no-untyped-def]
        return {member: self._at for extent in logs for member in extent.log.members}

    def revoked(self, partitions):  # type: ignore[no-untyped-def]
        raise AssertionError(partitions)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 70), st.integers(1, 9))
def test_a_source_hands_over_full_blocks_from_its_start(start: int, size: int) -> None:
    with TemporaryDirectory() as folder:
        file = FileInput(Path(folder) / "some.jsonl", "ms")
        file.path.write_bytes(b"".join(b"\n%d {}\n" % number for number in range(60)))
        source = FileSource([file], size)
        source.open(Starts(start))
        chunks = []
        while not source.exhausted():
            chunks += source.poll(0.0)
        source.close()
        expected = list(islice(FileRecords(file), start, None))
    assert all(isinstance(chunk.records, RecordBlock) for chunk in chunks)
    assert [record for chunk in chunks for record in chunk.records] == expected
    assert all(len(chunk.records) == size for chunk in chunks[:-1])
    assert source.skipped == {"blank": 60}


def test_blocks_that_were_taken_stay_as_they_were(tmp_path: Path) -> None:
    file = FileInput(tmp_path / "some.jsonl", "ms")
    file.path.write_bytes(b"".join(b"%d %s\n" % (number, b"x" * (number % 90)) for number in range(2000)))
    records = FileRecords(file, 500)
    blocks = [records.take(7) for _ in range(300)]
    assert [record for block in blocks for record in block] == list(FileRecords(file))


def test_a_block_ends_in_zeros_that_belong_to_no_record(tmp_path: Path) -> None:
    file = FileInput(tmp_path / "some.jsonl")
    file.path.write_bytes(b"abc\n" * 1000)
    records = FileRecords(file, 64)
    while block := records.take(10):
        assert isinstance(block, RecordBlock)
        assert not block.arena[-64:].any()
        assert int((block.value_at + block.value_size).max()) <= len(block.arena) - 64


@settings(max_examples=40, deadline=None)
@given(contents, st.sampled_from([0, 1, 10**9]), st.booleans(), st.data())
def test_lines_are_found_without_a_look_beyond_the_padding(
    content: bytes, ns_per: int, last: bool, data: st.DataObject
) -> None:
    rows, doubtful = np.empty((3, 40), np.int64), np.empty(40, np.bool_)
    size = len(content) + PADDING
    places = [_GUARDED.at_end(size), _GUARDED.at_start(size)]
    start = data.draw(st.integers(0, len(content)))
    found = []
    for place in places:
        place[: len(content)] = np.frombuffer(content, np.uint8)
        place[len(content) :] = data.draw(st.sampled_from([0, ord("1"), ord("\n")]))
        told = split(place, start, len(content), ns_per, rows, doubtful, 0, last=last)
        found.append((told, rows[:, : told[0]].tolist(), doubtful[: told[0]].tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize(("at", "end"), [(-1, 5), (6, 5), (0, 11)])
def test_lines_outside_the_data_are_refused(at: int, end: int) -> None:
    rows, doubtful = np.empty((3, 4), np.int64), np.empty(4, np.bool_)
    with pytest.raises(IndexError):
        split(np.zeros(10 + PADDING, np.uint8), at, end, 0, rows, doubtful, 0, last=True)


def test_a_pace_hands_blocks_on_as_blocks(tmp_path: Path) -> None:
    file = FileInput(tmp_path / "some.jsonl", "ms")
    file.path.write_bytes(b"no time\n" + b"".join(b"%d {}\n" % (5 + 10 * number) for number in range(100)))
    source = PacedSource(FileSource([file], 40), 5.0)
    source.open(Starts(0))
    chunks = []
    while not source.exhausted():
        chunks += source.poll(0.01)
    source.close()
    assert all(isinstance(chunk.records, RecordBlock) for chunk in chunks)
    assert [record for chunk in chunks for record in chunk.records] == list(FileRecords(file))
    assert len(chunks) > 3
