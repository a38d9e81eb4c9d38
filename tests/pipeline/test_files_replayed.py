"""A file that is replayed directly goes through the same engine, and gives what a live run would."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import T0, S, trade
from pipeline_world import World, cycle

from streamer.app.replay import ReplayTotals, replay
from streamer.config.load import load, load_text
from streamer.messages.records import Partition
from streamer.pipeline.allowance import Allowance
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


FOLLOWED = """
source: {files: [{match: "*", format: tapewatch, venue: here}]}
rules: {big: {when: size > 2 * size_mean_1h, clear: 1s}, any: {when: price > 0, clear: 1s, flap: 5s}}
receivers: {screen: {console: {}}}
"""


def lines(count: int) -> list[bytes]:
    return [trade(T0 + at * S, 100.0 + at % 7, size=1 + at * at % 11) for at in range(count)]


def written(folder: Path, parts: list[list[bytes]]) -> list[FileInput]:
    folder.mkdir()
    paths = [folder / f"f{number:03}.jsonl" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(b"\n".join(part))
    return [FileInput(path) for path in paths]


def test_very_many_files_give_what_one_gives_in_as_few_steps(tmp_path: Path) -> None:
    """They are looked at when the merge comes to their times, and not one by one as each ends."""
    followed = compile_plan(load_text(FOLLOWED))
    whole, chance = lines(1_000), random.Random(3)
    alone = [bare(body) for body in folded(followed, written(tmp_path / "one", [whole]), 500)[1]]
    assert len(alone) > 100
    mixed: list[list[bytes]] = [[line] for line in whole[:100]]
    for line in whole[100:]:
        chance.choice(mixed).append(line)
    for name, parts in (("follow", [whole[at : at + 10] for at in range(0, 1_000, 10)]), ("mixed", mixed)):
        files, steps = written(tmp_path / name, parts), list[StepResult]()
        for batch_size in (500, 7):
            assert [bare(body) for body in folded(followed, files, batch_size)[1]] == alone
        replay(followed, FileSource(files, 500), batch_size=500, watch=steps.append)
        assert len(steps) < len(files) / 2


def test_a_stop_comes_after_the_batch_that_is_folded(tmp_path: Path) -> None:
    followed = compile_plan(load_text(FOLLOWED))
    files, stop = written(tmp_path / "two", [lines(500), lines(500)]), threading.Event()
    totals = replay(
        followed,
        FileSource(files, 10),
        batch_size=10,
        watch=lambda _: stop.set(),
        allowance=Allowance(stopped=stop.is_set),
    )
    assert totals.records <= 10
