"""Scores as they are written: both kinds of files say the same, and JSON is as its own encoder writes it."""

from __future__ import annotations

import csv
import json
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from pipeline_world import plan_of

from streamer.app.replay import replay
from streamer.messages.batch import Instrument
from streamer.messages.outcome import Outcome, Scores
from streamer.messages.records import Partition
from streamer.pipeline.export import ScoreFile
from streamer.pipeline.runner_context import StepResult
from streamer.pipeline.scores import COLUMNS
from streamer.pipeline.task import Task
from streamer.sources.files.file_records import FileInput
from streamer.sources.files.file_source import FileSource

SYMBOLS = ["BTC", 'quo"te,', "Жук"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("scores")
    trades = [
        {
            "event_type": "trade",
            "symbol": symbol,
            "ts_event": at * 10**9,
            "price": 100 + at % 7 / 3,
            "size": 1,
        }
        for at in range(200)
        for symbol in SYMBOLS
    ]
    source = folder / "trades.jsonl"
    source.write_text("".join(json.dumps(trade) + "\n" for trade in trades))
    lines, rows = folder / "scores.jsonl", folder / "scores.csv"
    with ScoreFile(lines) as first, ScoreFile(rows) as second:

        def watch(step: StepResult) -> None:
            first.write(step)
            second.write(step)

        replay(plan_of(), FileSource([FileInput(source)], 70), batch_size=70, watch=watch)
    return lines, rows


def test_every_line_is_what_the_json_encoder_makes_of_it(written: tuple[Path, Path]) -> None:
    lines = written[0].read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == 2 * 200 * len(SYMBOLS)
    assert [json.dumps(row, ensure_ascii=False) for row in found] == lines
    assert all(tuple(row) == COLUMNS for row in found)
    assert {row["symbol"] for row in found} == set(SYMBOLS)
    for name in ("score", "rarity_s"):
        assert None in {row[name] for row in found}
        assert not any(isinstance(row[name], float) and isnan(row[name]) for row in found)
    assert [(row["offset"], row["detector"]) for row in found[:4]] == [
        (0, "tape"), (0, "far"), (1, "tape"), (1, "far"),
    ]  # fmt: skip


def test_rows_of_csv_say_the_same(written: tuple[Path, Path]) -> None:
    found = [json.loads(line) for line in written[0].read_text(encoding="utf-8").splitlines()]
    with written[1].open(encoding="utf-8", newline="") as rows:
        table = list(csv.DictReader(rows))
    assert table == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in found
    ]


def test_numbers_beyond_all_bounds_are_written_as_python_reads_them(tmp_path: Path) -> None:
    task = Task(plan_of(), Partition("trades", "t1", 0))
    scores = Scores(
        "tape",
        slot=np.zeros(3, np.int32),
        ts=np.arange(3),
        source=np.zeros(3, np.int16),
        offset=np.arange(3),
        index=np.zeros(3, np.int16),
        order=np.arange(3),
        score=np.array([np.inf, 1e-17, np.nan]),
        rarity=np.array([-np.inf, 1e300, 0.1]),
        status=np.ones(3, np.int8),
        instruments=(Instrument("here", "X"),),
        instrument=np.zeros(3, np.int32),
    )
    with ScoreFile(tmp_path / "s.jsonl") as out:
        out.write(StepResult(task, 3, Outcome(scores=(scores,)), live=True))
    found = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [(row["score"], row["rarity_s"]) for row in found] == [
        (float("inf"), float("-inf")), (1e-17, 1e300), (None, 0.1),
    ]  # fmt: skip
