"""A file that is replayed directly goes through the same engine, and gives what a live run would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from pipeline_world import World, cycle

from streamer.app.replay import ReplayTotals, replay
from streamer.config.load import load
from streamer.messages.records import Partition
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import StepResult
from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.files.file_source import FileSource

EXAMPLE = Path(__file__).parents[2] / "examples" / "sensitive.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_plan(load(EXAMPLE))


def folded(plan: Plan, files: list[FileInput], batch_size: int) -> tuple[ReplayTotals, list[bytes]]:
    bodies: list[bytes] = []

    def watch(step: StepResult) -> None:
        bodies.extend(transition.body for transition in step.outcome.transitions)

    return replay(plan, FileSource(files, batch_size), batch_size=batch_size, watch=watch), bodies


def bare(body: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(body).items() if name not in ("id", "source")}


def test_a_capture_gives_the_same_in_all_batches_and_live(plan: Plan, captures: Path, tmp_path: Path) -> None:
    file = FileInput(captures / "spot_btcusdt.gz", "ns")
    totals, bodies = folded(plan, [file], 500)
    assert sum(totals.fired.values()) > 20
    assert folded(plan, [file], 3_333)[1] == bodies
    assert folded(plan, [file], 61)[1] == bodies
    live = World(tmp_path / "store", plan, batch_size=500)
    log = MemoryLog(Partition("spot.btcusdt", "t1", 0), list(FileRecords(file)))
    live.run(ListSource([log], cycle([700, 44])))
    emitted = [t.body for step in live.seen for t in step.outcome.transitions]
    assert [bare(body) for body in emitted] == [bare(body) for body in bodies]
    assert {json.loads(body)["id"] for body in emitted}.isdisjoint(json.loads(body)["id"] for body in bodies)
    assert totals.records == len(log.records)


def test_files_that_are_kept_apart_are_tasks_of_their_own(plan: Plan, captures: Path) -> None:
    files = [FileInput(captures / name, "ns", log=name) for name in ("spot_ethusdt.gz", "usdm_btcusdt.gz")]
    together, bodies = folded(plan, files, 500)
    alone = [folded(plan, [file], 500) for file in files]
    assert bodies == [body for _, found in alone for body in found]
    assert together.records == sum(totals.records for totals, _ in alone)
    assert together.late == sum(totals.late for totals, _ in alone)
    assert together.ignored == {
        name: sum(totals.ignored.get(name, 0) for totals, _ in alone) for name in together.ignored
    }


def test_dead_letters_of_several_files_are_counted_together(plan: Plan, tmp_path: Path) -> None:
    files = []
    for name in ("spot_a", "spot_b"):
        (tmp_path / name).write_bytes(b"1700000000000000000 {\n" * 250)
        files.append(FileInput(tmp_path / name, "ns"))
    totals, _ = folded(plan, files, 40)
    assert totals.dead == {"bad_json": 500}
