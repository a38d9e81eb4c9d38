"""Files are published merged by receive time, else by event time, and paced by the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from broker.watching import Reading, settings_for
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from streamer.app.published_files import PublishedFile, PublishedFiles
from streamer.cli.app import application
from streamer.messages.records import NO_TIME
from streamer.sources.files.file_records import FileInput
from streamer.sources.files.file_settings import FileSourceSettings, ReceiveUnit
from streamer.sources.kafka.publisher import merge_by_time

SECOND = 10**9
START = 1_722_510_000 * SECOND
SETTINGS = FileSourceSettings.model_validate({"match": "*", "format": "tapewatch"})


def trade(number: int, at: float, symbol: str = "ABC") -> str:
    ts = START + int(at * SECOND)
    event = {"event_type": "trade", "venue": "x", "symbol": symbol, "ts_event": ts, "price": 1, "size": 1}
    return json.dumps({**event, "trade_id": str(number)})


def opened(path: Path, receive_time: ReceiveUnit | None = None) -> PublishedFile:
    return PublishedFile(FileInput(path, receive_time), SETTINGS, PublishedFiles(1, 60 * SECOND, 1_000))


def published(files: Sequence[PublishedFile]) -> list[str]:
    """The ids of trades in the order in which they are published."""
    return [json.loads(record.value or b"")["trade_id"] for record in merge_by_time(*files)]


def test_files_without_receive_times_are_merged_by_event_time(tmp_path: Path) -> None:
    lines = [trade(number, number / 2) for number in range(2_000)]
    for name, part in {"even": lines[::2], "odd": lines[1::2]}.items():
        (tmp_path / name).write_text("\n".join(part))
    files = [opened(tmp_path / "odd"), opened(tmp_path / "even")]
    assert published(files) == [str(number) for number in range(2_000)]
    assert [file.unsorted() for file in files] == ["", ""]


def test_receive_times_come_first_to_the_ns(tmp_path: Path) -> None:
    for name, first in (("a", 1), ("b", 0)):
        lines = [f"{START + number * 1_000} {trade(number, 100 - number)}" for number in range(first, 40, 2)]
        (tmp_path / name).write_text("\n".join(lines))
    files = [opened(tmp_path / "a", "ns"), opened(tmp_path / "b", "ns")]
    assert published(files) == [str(number) for number in range(40)]


def test_times_that_go_back_are_told_with_their_line(tmp_path: Path) -> None:
    lines = ["", trade(0, 10), "", trade(1, 12), trade(2, 11.5), trade(3, 12), trade(4, 9), trade(5, 13)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl").write_text(trade(6, 12.5))
    files = [opened(tmp_path / "a.jsonl"), opened(tmp_path / "b.jsonl")]
    assert published(files) == ["0", "1", "2", "3", "4", "6", "5"]
    assert files[0].unsorted() == (
        f"{tmp_path}/a.jsonl:5: its time is before that of a line above it "
        "(by 0.5 s; 2 lines of it are, by 3 s at most)"
    )
    (tmp_path / "c").write_text("\n".join(f"{at} {trade(at, 0)}" for at in (5, 7, 6)))
    (received,) = [opened(tmp_path / "c", "s")]
    assert published([received]) == ["5", "7", "6"]
    assert received.unsorted() == f"{tmp_path}/c:3: its time is before that of a line above it (by 1 s)"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), max_size=8).map(sorted), min_size=1, max_size=4))
def test_each_file_keeps_its_order_and_all_are_sorted(
    tmp_path_factory: pytest.TempPathFactory, times: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for number, one in enumerate(times):
        (folder / str(number)).write_text("\n".join(trade(at, at) for at in one) or trade(99, 99))
    found = published([opened(folder / str(number)) for number in range(len(times))])
    assert [int(each) for each in found] == sorted(at for one in times for at in one or [99])


def publish(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(application(["publish"]), ["publish", *map(str, arguments)])
    return done.exit_code, " ".join(done.stderr.split())


def test_without_any_times_a_speed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text('{"some": "thing"}\n' * 5)
    options = ["--bootstrap", "127.0.0.1:1", "-t", "events", "--format", "tapewatch"]
    code, told = publish(*options, "--speed", "2", path)
    assert code == 2
    assert "some.jsonl: no times, neither of receipt nor of events, which --speed needs" in told
    assert not opened(path).timed
    assert {record.time for record in opened(path)} == {int(NO_TIME)}


def test_two_files_are_merged_into_the_topic_and_paced(
    tmp_path: Path, broker: str, topic_factory: Callable[[], str]
) -> None:
    lines = [trade(number, number / 10) for number in range(21)]
    paths = [tmp_path / "even", tmp_path / "odd"]
    for place, path in enumerate(paths):
        path.write_text("\n".join(lines[place::2]))
    (tmp_path / "none").write_text("\n")
    topic = topic_factory()
    options = ["--bootstrap", broker, "-t", topic, "--format", "tapewatch"]
    started = time.monotonic()
    code, told = publish(*options, "--speed", "2", tmp_path / "none", *paths)
    assert (code, "21 records" in told, "none holds no events" in told) == (0, True, True)
    assert time.monotonic() - started > 0.9
    with Reading(settings_for(broker), topic) as reading:
        reading.until_count(21)
    (found,) = reading.got.values()
    assert [json.loads(record.value or b"")["trade_id"] for record in found] == [str(n) for n in range(21)]
    assert {record.key for record in found} == {b"ABC"}
