from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import zstandard
from pydantic import ValidationError

from streamer.errors import TapewatchError, UsageError
from streamer.messages.logs import LogExtent
from streamer.messages.records import NO_TIME, Chunk, Extent, Partition, Record
from streamer.sources.files.file_logs import file_inputs
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.file_source import FileSource
from streamer.sources.files.line_reader import Lines
from streamer.sources.source import Source

Compress = Callable[[bytes], bytes]
COMPRESSED: Mapping[str, Compress] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
endings = pytest.mark.parametrize("ending", sorted(COMPRESSED))


class Starts:
    """Answers as the engine does: where to start, by default at the beginning."""

    def __init__(self, at: Mapping[str, int] | None = None) -> None:
        self._at = at or {}
        self.logs: list[Extent] = []

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        extents = [extent for log in logs for extent in log.extents]
        self.logs += extents
        return {each.partition: self._at.get(each.partition.topic, 0) for each in extents}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        raise AssertionError(partitions)


def _write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(COMPRESSED[path.suffix if path.suffix in COMPRESSED else ""](data))
    return path


def apart(*paths: Path) -> list[FileInput]:
    """Files that are a log each."""
    return [FileInput(path, log=path.name) for path in paths]


def _all(source: Source, starts: Starts | None = None) -> list[Chunk]:
    source.open(starts or Starts())
    found: list[Chunk] = []
    while not source.exhausted():
        found += source.poll(0.0)
    source.close()
    return found


def _records(path: Path, **options: str) -> list[Record]:
    return [record for chunk in _all(FileSource([FileInput(path, **options)], 3)) for record in chunk.records]  # type: ignore[arg-type]


@endings
def test_each_line_is_a_record(tmp_path: Path, ending: str) -> None:
    path = _write(tmp_path / f"some.jsonl{ending}", '{"a":1}\r\n\n{"a":2}\n   \n{"a":3}')
    assert _records(path) == [Record(0, b'{"a":1}'), Record(1, b'{"a":2}'), Record(2, b'{"a":3}')]


def test_a_source_reads_in_chunks_of_its_partition(tmp_path: Path) -> None:
    first = _write(tmp_path / "one.jsonl", "1\n2\n3\n4\n5\n")
    second = _write(tmp_path / "two.jsonl.gz", "6\n")
    starts = Starts()
    source = FileSource(apart(first, second), 2)
    chunks = _all(source, starts)
    one, two = Partition("one.jsonl", "file", 0), Partition("two.jsonl.gz", "file", 0)
    assert [(chunk.partition, [record.offset for record in chunk.records]) for chunk in chunks] == [
        (one, [0, 1]), (one, [2, 3]), (one, [4]), (two, [0]),
    ]  # fmt: skip
    assert [(log.partition, log.first, log.start) for log in starts.logs] == [(one, 0, 0), (two, 0, 0)]
    assert all(chunk.timer_ns is None for chunk in chunks)
    assert source.at_end() == frozenset()


def test_reading_starts_where_it_is_told_to(tmp_path: Path) -> None:
    first = _write(tmp_path / "one.jsonl", "1\n2\n3\n")
    second = _write(tmp_path / "two.jsonl", "4\n5\n")
    source = FileSource(apart(first, second), 10)
    chunks = _all(source, Starts({"one.jsonl": 2, "two.jsonl": 9}))
    assert [record for chunk in chunks for record in chunk.records] == [Record(2, b"3")]


NS = 1_723_161_253_937_000_000


@pytest.mark.parametrize(
    ("unit", "line", "timestamp"),
    [
        ("ns", '1723161253937085768 {"a":1}', NS),
        ("us", '1723161253937085 {"a":1}', NS),
        ("ms", '1723161253937 {"a":1}', NS),
        ("ms", '1723161253937.999: {"a":1}', NS),
        ("s", '1723161253.9379997: {"a":1}', NS),
        ("s", '1723161253.937 {"a":1}', NS),
        ("s", '1723161253: {"a":1}', NS // 10**9 * 10**9),
        ("ns", '0 {"a":1}', 0),
    ],
)
def test_receive_times_are_floored_to_ms(tmp_path: Path, unit: str, line: str, timestamp: int) -> None:
    path = _write(tmp_path / "raw.gz", line + "\n")
    assert _records(path, receive_time=unit) == [Record(0, b'{"a":1}', timestamp)]


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1}',
        'soon {"a":1}',
        '-5 {"a":1}',
        '99999999999999999999999 {"a":1}',
        '1e9 {"a":1}',
        "5" * 19 + " {}",
    ],
)
def test_a_line_without_its_receive_time_is_passed_on_whole(tmp_path: Path, line: str) -> None:
    assert _records(_write(tmp_path / "raw.jsonl", line), receive_time="s") == [
        Record(0, line.encode(), int(NO_TIME))
    ]


def test_what_a_capture_notes_of_its_connection_is_counted(tmp_path: Path) -> None:
    lines = [
        "configuration: {}",
        "wss://feed <-> 1618677816.8434298",
        'wss://feed <- 1618677817.020616: {"type":"subscribe"}',
        'https://api -> 1618677817.1: {"answer":1}',
        '1618677817.5: {"type":"match"}',
        "",
        'wss://feed ?? 1618677817.5: {"kept":1}',
    ]
    records = FileRecords(FileInput(_write(tmp_path / "feed.0.gz", "\n".join(lines)), "s"))
    assert [record.value for record in records] == [b'{"type":"match"}', lines[-1].encode()]
    assert records.skipped == {"configuration": 1, "connect": 1, "sent": 1, "answer": 1, "blank": 1}


def test_a_source_sums_up_what_it_skipped(tmp_path: Path) -> None:
    files = [FileInput(_write(tmp_path / f"{name}.jsonl", "\n1\n\n2\n")) for name in "ab"]
    source = FileSource(files, 1)
    _all(source)
    assert source.skipped == {"blank": 4}


@endings
def test_rows_become_objects_of_texts(tmp_path: Path, ending: str) -> None:
    rows = '\ufefft, side ,"note"\r\n1,buy,"a ""b"", c"\r\n\r\n2,,Ж\r\n3,sell,"two\nlines"\r\n'
    found = _records(_write(tmp_path / f"some.csv{ending}", rows))
    assert [json.loads(record.value or b"") for record in found] == [
        {"t": "1", "side": "buy", "note": 'a "b", c'},
        {"t": "2", "side": "", "note": "Ж"},
        {"t": "3", "side": "sell", "note": "two\nlines"},
    ]
    assert [record.timestamp for record in found] == [int(NO_TIME)] * 3


def test_rows_that_do_not_fit_are_passed_on_as_they_stand(tmp_path: Path) -> None:
    rows = b'a,b\n1,2\n1,2,3\n1\n\xff,2\n"x"y,2\n3,4\n"open,5\n'
    values = [record.value for record in _records(_write(tmp_path / "some.csv", rows))]
    assert values == [
        b'{"a":"1","b":"2"}', b"1,2,3", b"1", b"\xff,2", b'"x"y,2', b'{"a":"3","b":"4"}', b'"open,5',
    ]  # fmt: skip


@pytest.mark.parametrize("header", ["a,a", "a,", '"a"b,c'])
def test_a_header_must_name_its_columns(tmp_path: Path, header: str) -> None:
    path = _write(tmp_path / "some.csv", f"{header}\n1,2\n")
    with pytest.raises(TapewatchError, match=r"some\.csv: the first row must name the columns"):
        _records(path)


@endings
@pytest.mark.parametrize("ends", [b"\n", b""])
def test_lines_of_any_length_are_read(tmp_path: Path, ending: str, ends: bytes) -> None:
    lines = [b"a", b"b" * 1_000_000, b"", b"c" * ((1 << 24) + 5), b"d"]
    path = _write(tmp_path / f"some.jsonl{ending}", b"\n".join(lines) + ends)
    with Lines(path) as found:
        assert [len(line) for line in found] == [1, 1_000_000, 0, 1 << 24, 1]


def test_zstd_frames_follow_one_another(tmp_path: Path) -> None:
    pack = COMPRESSED[".zst"]
    path = tmp_path / "some.jsonl.zst"
    path.write_bytes(pack(b"1\n2") + pack(b"") + pack(b"3\n4\n"))
    assert [record.value for record in _records(path)] == [b"1", b"23", b"4"]


def test_progress_runs_from_nothing_to_all(tmp_path: Path) -> None:
    lines = "\n".join(str(number) * 40 for number in range(25_000))
    files = apart(*(_write(tmp_path / name, lines) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst")))
    source = FileSource(files, 500)
    source.open(Starts())
    assert source.bytes_total == sum(file.path.stat().st_size for file in files)
    seen = [source.bytes_read]
    while not source.exhausted():
        source.poll(0.0)
        seen.append(source.bytes_read)
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert seen[-1] == source.bytes_total
    assert len(set(seen)) > 5


def _opened(path: Path) -> str:
    with pytest.raises(TapewatchError) as caught:
        _records(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_files_that_cannot_be_read_are_named_with_the_reason(tmp_path: Path) -> None:
    assert "there is no such file" in _opened(tmp_path / "none.jsonl")
    assert "is a folder" in _opened(tmp_path)
    for ending in COMPRESSED:
        assert "holds no events" in _opened(_write(tmp_path / f"empty.jsonl{ending}", ""))
        assert "holds no events" in _opened(_write(tmp_path / f"blank.jsonl{ending}", "\n \n"))
        assert "holds no events" in _opened(_write(tmp_path / f"header.csv{ending}", "a,b\n"))
    (tmp_path / "bare.gz").write_bytes(b"")
    assert "holds no events" in _opened(tmp_path / "bare.gz")
    assert ".parquet files are not supported" in _opened(tmp_path / "some.parquet")


def test_a_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    """Files are opened more than once: what the first read took would be missing, or the second wait on."""
    for name in ("ff.jsonl", "ff.jsonl.gz", "ff.csv"):
        os.mkfifo(tmp_path / name)
        assert "it is a pipe" in _opened(tmp_path / name)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(writer, "wb") as write:
        write.write(b"1\n2\n")
        write.flush()
        assert "write it to a file first" in _opened(Path(f"/dev/fd/{read.fileno()}"))
        assert os.read(read.fileno(), 100) == b"1\n2\n"


def _damage(path: Path, least: int) -> str:
    """What is told of a file that is damaged; all whole lines before that are records."""
    source = FileSource([FileInput(path)], 1_000)
    read = [record.value for chunk in _all(source) for record in chunk.records]
    assert len(read) >= least
    (told,) = source.damages
    assert f"after {len(read):,} whole records" in told
    return told


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_damaged_files_are_named_with_the_reason(tmp_path: Path, ending: str) -> None:
    whole = COMPRESSED[ending](b"\n".join(b'{"a":%d}' % (number * 7919) for number in range(20_000)))
    for name, data in {"plain": b'{"a":1}\n', "cut": whole[: len(whole) // 2], "tail": whole[:-2]}.items():
        path = tmp_path / f"{name}.jsonl{ending}"
        path.write_bytes(data)
        assert "is damaged or not what its name says" in _damage(path, least=10_000 * (name == "tail"))
    middle = len(whole) // 2
    path = tmp_path / f"flipped.jsonl{ending}"
    path.write_bytes(
        whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 20]) + whole[middle + 20 :]
    )
    if ending == ".gz":  # zstd has no checksum here unless its writer adds one
        assert "is damaged" in _damage(path, least=1)


def test_rows_have_no_receive_time(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "a\n1\n")
    with pytest.raises(TapewatchError, match="receive_time is for lines of JSON"):
        FileSource([FileInput(path, "ns")], 1).open(Starts())


def test_settings_are_found_by_the_files_name(tmp_path: Path) -> None:
    known = [
        FileSourceSettings.model_validate(
            {"match": "spot_*", "format": "binance", "venue": "v", "receive_time": "ns"}
        ),
        FileSourceSettings.model_validate({"match": "*.jsonl", "format": "tapewatch"}),
    ]
    paths = [tmp_path / "deep" / "spot_x.jsonl", Path("own.jsonl")]
    assert file_inputs(paths, known) == [FileInput(paths[0], "ns"), FileInput(paths[1], None)]
    with pytest.raises(UsageError, match=r"no entry of source\.files matches 'other\.gz'"):
        file_inputs([Path("other.gz")], known)


@pytest.mark.parametrize(
    "change", [{"receive_time": "min"}, {"venue": ""}, {"match": ""}, {"format": "no"}, {"x": 1}]
)
def test_settings_are_checked(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FileSourceSettings.model_validate({"match": "*", "format": "binance", **change})


@pytest.mark.parametrize("ending", [".jsonl.gz", pytest.param(".csv.zst", marks=pytest.mark.long)])
def test_what_unpacks_to_very_much_takes_little_memory(tmp_path: Path, ending: str) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from streamer.sources.files.file_records import FileInput, FileRecords\n"
        "def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "FileRecords(FileInput(Path(sys.argv[1]))).take(5000)\n"
        "before, records = most(), FileRecords(FileInput(Path(sys.argv[2])))\n"
        "count = 0\n"
        "while taken := records.take(5000): count += len(taken)\n"
        "print(count, most() - before)\n"
    )
    line = b"a" * ((1 << 24) - 1) + b"\n"
    small, large = tmp_path / f"small{ending}", tmp_path / f"large{ending}"
    pack = COMPRESSED[large.suffix]
    small.write_bytes(pack(b"a\nb\n"))
    large.write_bytes(pack(b"a\n") + pack(line) * 40)
    done = subprocess.run(
        [sys.executable, "-c", code, str(small), str(large)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    count, grown_mb = map(int, done.stdout.split())
    assert count >= 40
    assert grown_mb < 300
