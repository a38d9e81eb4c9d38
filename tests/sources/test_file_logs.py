"""Which files are one log, what they are called, and how those of one log are read by turns."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from streamer.errors import TapewatchError, UsageError
from streamer.messages.logs import LogExtent
from streamer.messages.records import Partition
from streamer.sources.files.file_logs import file_inputs, unmatched_joins
from streamer.sources.files.file_records import FileInput, record_place
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.files.file_source import FileSource


def settings(**by_match: Mapping[str, str]) -> list[FileSourceSettings]:
    return [
        FileSourceSettings.model_validate({"match": match, "format": "tapewatch", **options})
        for match, options in by_match.items()
    ]


ANY = settings(**{"*": {}})


class Logs:
    """Takes all logs over, from their beginning."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.members: list[list[str]] = []

    def assigned(self, logs: Sequence[LogExtent]) -> Mapping[Partition, int]:
        self.names = [str(each.log) for each in logs]
        self.members = [[member.topic for member in each.log.members] for each in logs]
        return {extent.partition: 0 for each in logs for extent in each.extents}

    def revoked(self, partitions: Sequence[Partition]) -> None:
        raise AssertionError(partitions)


def written(folder: Path, *names: str, lines: int = 3) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{number}\n" for number in range(lines)))
    return paths


def members(files: Sequence[FileInput]) -> list[list[str]]:
    logs = Logs()
    FileSource(files, 10).open(logs)
    return logs.members


def test_files_are_one_log_in_the_order_given(tmp_path: Path) -> None:
    paths = written(tmp_path, "h2.jsonl", "h1.jsonl")
    logs = Logs()
    FileSource(file_inputs(paths, ANY), 10).open(logs)
    assert (logs.names, logs.members) == (["h2.jsonl+h1.jsonl[0]"], [["h2.jsonl", "h1.jsonl"]])
    FileSource(file_inputs(paths[:1], ANY), 10).open(logs)
    assert (logs.names, logs.members) == (["h2.jsonl[0]"], [["h2.jsonl"]])


def test_files_of_an_entry_can_be_kept_apart(tmp_path: Path) -> None:
    known = settings(**{"nab_*": {"logs": "each"}, "*": {}})
    paths = written(tmp_path, "a.jsonl", "nab_1.jsonl", "b.jsonl", "nab_2.jsonl")
    assert members(file_inputs(paths, known)) == [["a.jsonl", "b.jsonl"], ["nab_1.jsonl"], ["nab_2.jsonl"]]


def test_a_join_says_which_files_are_one_log_and_their_order(tmp_path: Path) -> None:
    known = settings(**{"*.csv": {"logs": "each"}, "t*": {}, "*": {}})
    paths = written(tmp_path, "t1.jsonl", "x.csv", "q.csv", "t2.jsonl", "y.jsonl", lines=4)
    for path in paths:
        path.write_text("a\n1\n")
    joins = [["q.csv", "t*"]]  # a file's name, and what an entry matches
    assert members(file_inputs(paths, known, joins)) == [
        ["q.csv", "t1.jsonl", "t2.jsonl"],
        ["x.csv"],
        ["y.jsonl"],
    ]


def test_files_of_one_name_are_joined_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = written(tmp_path, "x/mon/day.jsonl", "x/tue/day.jsonl", "x/wed/day.jsonl")
    for join in (["tue/day.jsonl", "mon/day.jsonl"], ["x/tue/day.jsonl", f"{tmp_path}/x/mon/day.jsonl"]):
        assert members(file_inputs(paths, ANY, [join])) == [
            ["tue/day.jsonl", "mon/day.jsonl"],
            ["wed/day.jsonl"],
        ]
    monkeypatch.chdir(tmp_path / "x")
    some = [Path("mon/day.jsonl"), Path("tue/day.jsonl")]
    assert members(file_inputs(some, ANY, [["x/tue/*.jsonl", "mon/day.jsonl"]])) == [
        ["tue/day.jsonl", "mon/day.jsonl"]
    ]


def test_a_join_of_which_a_file_is_missing_is_told(tmp_path: Path) -> None:
    paths = written(tmp_path, "trades.jsonl", "orders.jsonl")
    whole, other = ["trades.jsonl", "orders.jsonl"], ["a.jsonl", "b.jsonl"]
    assert unmatched_joins(paths, ANY, [whole, other]) == []
    (told,) = unmatched_joins(paths, ANY, [["trades.jsonl", "status.jsonl", "orders.json"], other])
    assert "no file is given that is status.jsonl or orders.json; it goes on without them" in told


def test_files_of_one_name_are_told_apart_by_the_shortest_path(tmp_path: Path) -> None:
    paths = written(
        tmp_path, "x/1/a.jsonl", "x/2/a.jsonl", "y/2/a.jsonl", "1/b.jsonl", "2/c.jsonl", "d/c.jsonl"
    )
    names = [file.name for file in file_inputs(paths, settings(**{"?.jsonl": {}}))]
    assert names == ["x/1/a.jsonl", "x/2/a.jsonl", "y/2/a.jsonl", "b.jsonl", "2/c.jsonl", "d/c.jsonl"]
    assert members(file_inputs(paths, ANY)) == [names]


def test_names_do_not_depend_on_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "old/a.jsonl", "a.jsonl")
    monkeypatch.chdir(tmp_path)
    paths = [Path("a.jsonl"), Path("./old/../old/a.jsonl")]
    assert [file.name for file in file_inputs(paths, ANY)] == ["a.jsonl", "old/a.jsonl"]


def test_a_file_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    (path,) = written(tmp_path, "a.jsonl")
    link = tmp_path / "latest.jsonl"
    link.symlink_to(path)
    with pytest.raises(UsageError, match=r"a\.jsonl is given twice: its events would count twice"):
        file_inputs([path, path], ANY)
    with pytest.raises(UsageError, match=r"a\.jsonl and .*latest\.jsonl are one file"):
        file_inputs([path, link], ANY)


def test_files_of_a_log_are_read_by_turns_as_they_are_wanted(tmp_path: Path) -> None:
    paths = written(tmp_path, "a", "b", lines=32_768)
    source = FileSource(file_inputs(paths, ANY), 500)
    source.open(Logs())
    a, b = (Partition(name, "file", 0) for name in "ab")

    def polled() -> list[tuple[str, int, int]]:
        chunks = source.poll(0.0)
        return [(each.partition.topic, each.records[0].offset, each.records[-1].offset) for each in chunks]

    assert polled() == [("a", 0, 16_383), ("b", 0, 16_383)]
    source.withhold([a])
    assert polled() == [("b", 16_384, 32_767)]
    assert source.finished() == frozenset()  # nobody has looked behind the last record
    assert (polled(), source.finished(), source.exhausted()) == ([], {b}, False)
    source.withhold([])
    assert polled() == [("a", 16_384, 32_767)]
    assert (polled(), source.finished(), source.exhausted()) == ([], {a, b}, True)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _read_out(source: FileSource) -> tuple[int, int]:
    """How many records there are, and how many files are open at most."""
    count, most = 0, 0
    while not source.exhausted():
        count += sum(len(chunk.records) for chunk in source.poll(0.0))
        most = max(most, _open_files())
    return count, most


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
def test_of_many_files_64_are_open_at_most(tmp_path: Path, ending: str) -> None:
    text = "".join(f"{number * 7919:050}\n" for number in range(5_000)).encode()
    paths = [tmp_path / f"{number}{ending}" for number in range(80)]
    for path in paths:
        path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    gc.collect()  # what earlier tests left open is not counted
    before = _open_files()
    source = FileSource(file_inputs(paths, ANY), 5_000)
    source.open(Logs())
    count, most = _read_out(source)
    assert count == 80 * 5_000
    assert 32 < most - before <= 64
    assert _open_files() == before


def test_a_file_that_is_replaced_while_it_waits_closed_is_not_mixed_up(tmp_path: Path) -> None:
    paths = written(tmp_path, *(f"{number:02}" for number in range(70)), lines=60_000)
    source = FileSource(file_inputs(paths, ANY), 5_000)
    source.open(Logs())
    source.poll(0.0)
    for path in paths:
        new = path.with_suffix(".new")
        new.write_text("other\n" * 60_000)
        new.replace(path)
    with pytest.raises(TapewatchError, match=r"\d\d cannot be read: another file has taken its place"):
        _read_out(source)


def test_a_record_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text("1 a\n\n\n2 b\nwss://x <-> 1\n3 c\n\n4 d")
    told = [record_place(FileInput(path, "s"), offset) for offset in range(4)]
    assert told == [f"{path}:{line}" for line in (1, 4, 6, 8)]
    rows = tmp_path / "some.csv"
    rows.write_text('a,b\n1,2\n\n"two\nlines",3\n4,5\n')
    told = [record_place(FileInput(rows), offset) for offset in range(3)]
    assert told == [f"{rows}:{line}" for line in (2, 5, 6)]


def test_a_line_that_cannot_be_found_again_is_told_by_its_record(tmp_path: Path) -> None:
    """The file is rotated while it is sent: the warning about it must not make the whole fail."""
    path = tmp_path / "some.jsonl"
    assert record_place(FileInput(path), 4) == f"{path}, record 5"
    path.write_text("1\n2\n")
    assert record_place(FileInput(path), 4) == f"{path}, record 5"
    path.write_text("\n")
    assert record_place(FileInput(path), 0) == f"{path}, record 1"
