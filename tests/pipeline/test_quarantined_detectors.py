"""A detector that is quarantined as a whole: a step of the fold like any other, by the journal alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import DETECTORS, World, cycle, plan_of, state_bytes

from detectors.detector import Detector
from detectors.models.model import QUARANTINED, READY
from streamer.app.last_end import DEATHS, heed_last_end
from streamer.app.replay import replay
from streamer.messages.records import Partition
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import StepResult
from streamer.pipeline.state import status_document
from streamer.sources.recording.recording_source import RecordingSource
from streamer.store.control_inputs import ControlOrder, StoreControls
from streamer.store.database import open_store
from streamer.store.work_file import ENDED, HELD, WorkFile, left_work, work_path

OTHER = Partition("trades", "t1", 1)
LOGS = [MemoryLog(LOG, market(400, seed=41)), MemoryLog(OTHER, market(300, seed=42))]
REASON = "it had not returned for 61 s"
OTHER_TAPE = DETECTORS.replace("seed: 7", "seed: 8")


def source(size: int = 30) -> ListSource:
    return ListSource(LOGS, cycle([size]))


def version(plan: Plan, name: str = "tape") -> str:
    return Detector(name, plan.detectors[name]).version


def order(world: World, kind: str, key: str) -> None:
    """As the daemon's start, or `tapewatch models lift`, would put it into the store."""
    with closing(open_store(str(world.store))) as database:
        found = ControlOrder(kind, "tape", key, version(world.plan) if kind == "quarantine" else "", REASON)  # type: ignore[arg-type]
        StoreControls(database).add(found, 1.0)


def journaled(world: World, task: int) -> list[str]:
    kinds = [kind for _, kind, *_ in world.journal(task)]
    return [kind for kind in kinds if kind != "tick"]


@pytest.fixture
def begun(tmp_path: Path) -> World:
    """A store on which a process has worked for a while, and was killed."""
    world = World(tmp_path / "store", every_s=1e9, keep_all=True)
    world.killed(source(), 4)
    return world


def last_states(world: World) -> dict[Partition, str]:
    """What every task remembers in the end."""
    tasks = {step.task.partition: step.task for step in world.seen}
    return {log: state_bytes(task, world.checkpoints) for log, task in tasks.items()}


def test_it_holds_in_every_log_from_where_the_live_log_begins_and_disturbs_nothing_else(
    begun: World, tmp_path: Path
) -> None:
    calm = begun.copied(tmp_path / "calm")
    calm.run(source())
    order(begun, "quarantine", "hang")
    begun.run(source())
    for task in (1, 2):
        kinds = journaled(begun, task)
        assert kinds.count("quarantine") == 1
        assert 0 < kinds.index("quarantine") < len(kinds) - 1
    (data,) = {data for (data,) in begun.ask("SELECT data FROM journal WHERE kind = 'quarantine'")}
    assert json.loads(data)["detector"] == "tape"
    assert json.loads(data)["reason"] == REASON
    scores, undisturbed = begun.scores(), calm.scores()
    assert scores.keys() == undisturbed.keys()
    for event, found in undisturbed.items():
        if event[-1] != "tape":
            assert scores[event][-1] == found[-1]
    live = [found[-1] for event, found in scores.items() if event[-1] == "tape" and event[1] > 200]
    assert set(live) == {(-1.0, QUARANTINED)}
    status = status_document(begun.seen[-1].task)
    assert status["quarantined"]["tape"] == {"all instruments": REASON}
    assert status["detectors"]["tape"]["ready"] == 0


@pytest.mark.parametrize(
    ("batch_size", "kinds"),
    [
        pytest.param(1, ("quarantine", "lift"), id="lifted"),
        pytest.param(500, ("quarantine",), id="held", marks=pytest.mark.long),
    ],
)
def test_killed_and_recovered_in_other_batches_it_is_the_same(
    begun: World, tmp_path: Path, batch_size: int, kinds: tuple[str, ...]
) -> None:
    for kind in kinds[:-1]:
        order(begun, kind, kind)
        begun.run(source(), polls=4)
    order(begun, kinds[-1], kinds[-1])
    killed = begun.copied(tmp_path / "killed")
    begun.run(source())
    killed.batch_size = batch_size
    for polls in (1, 2, 5, 3):
        killed.killed(source(17), polls)
    killed.run(source(40))
    assert killed.alerts() == begun.alerts()
    assert killed.dead() == begun.dead()
    assert last_states(killed) == last_states(begun)
    for task in (1, 2):
        assert [kind for kind in journaled(killed, task) if kind != "batch"] == list(kinds)


@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.long), 500])
def test_a_recording_of_it_replayed_agrees(begun: World, tmp_path: Path, batch_size: int) -> None:
    order(begun, "quarantine", "hang")
    begun.run(source(), polls=4)
    order(begun, "lift", "lift")
    begun.run(source())
    path = tmp_path / "day.jsonl.zst"
    begun.record(path, LOGS)
    again = World(tmp_path / "again", batch_size=batch_size)
    steps: list[StepResult] = []
    replay(begun.plan, RecordingSource(path, batch_size), batch_size=batch_size, watch=steps.append)
    again.seen = steps
    assert last_states(again) == last_states(begun)
    bodies = sorted(each.body for step in steps for each in step.outcome.transitions)
    assert bodies == sorted(body for (body,) in begun.ask("SELECT body FROM outbox WHERE origin = 'detect'"))


def test_a_lift_is_journaled_and_the_detector_warms_up_anew(begun: World) -> None:
    order(begun, "quarantine", "hang")
    begun.run(source(), polls=4)
    before = len(begun.seen)
    order(begun, "lift", "lift")
    begun.run(source())
    assert journaled(begun, 1).count("lift") == 1
    status = [
        code
        for step in begun.seen[before:]
        for scores in step.outcome.scores
        if scores.detector == "tape"
        for code in scores.status.tolist()
    ]
    assert status
    assert status[0] not in (QUARANTINED, READY)
    assert QUARANTINED not in status
    assert status[-1] == READY
    again = begun.copied(begun.folder.parent / "again")
    again.seen.clear()
    with closing(open_store(str(again.store))) as database, database.write() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoints")
    again.run(ListSource(LOGS, cycle([11])))
    assert again.alerts() == begun.alerts(), "from the journal alone"


def test_another_specification_is_not_quarantined(begun: World) -> None:
    order(begun, "quarantine", "hang")
    begun.run(source(), polls=4)
    begun.plan = plan_of(detectors=OTHER_TAPE)
    with closing(open_store(str(begun.store))) as database:
        controls = StoreControls(database)
        assert controls.settle({"tape": version(begun.plan)}, 2.0) == ["tape"]
        assert not controls.quarantined()
    begun.run(source())
    task = begun.seen[-1].task
    assert task.detectors[0].control.reason is None
    assert np.isfinite(begun.seen[-1].outcome.scores[0].score).any()
    assert "lift" not in journaled(begun, 1), "the reload has lifted it"


def hung(file: WorkFile, plan: Plan) -> None:
    file.reading(LOG, 10, 19, True)
    file.enter("tape", version(plan))


def replaying(file: WorkFile, plan: Plan) -> None:
    file.reading(LOG, 10, 19, False)
    file.enter("tape", version(plan))


def outside(file: WorkFile, plan: Plan) -> None:
    hung(file, plan)
    file.leave()


def next_start(world: World, left: Callable[[WorkFile, Plan], None], how: str) -> tuple[list[str], list[str]]:
    """A process leaves its file and ends; what the next one quarantines and tells."""
    path = work_path(world.store)
    with closing(open_store(str(world.store))) as database:
        deaths = heed_last_end(left_work(path), database, world.time)
        world.time.s += 1
        file = WorkFile(path, world.time.now(), deaths)
        left(file, world.plan)
        if how == "stuck":
            file.stuck(61)
        elif how == "held":
            file.numbers[ENDED] = HELD
        elif how == "asked":
            file.asked()
        elif how == "asked, then stuck":
            file.asked()
            file.stuck(61)
        elif how == "stuck, then asked":
            file.stuck(61)
            file.asked()
        left_behind = left_work(path)
        heed_last_end(left_behind, database, world.time)
        heed_last_end(left_behind, database, world.time)  # killed before it had replaced the file
        quarantined = list(StoreControls(database).quarantined())
    return quarantined, [rule for rule, _ in world.service_alerts()]


@pytest.mark.parametrize(
    ("left", "how", "quarantined"),
    [
        (hung, "stuck", ["tape"]),
        (hung, "held", ["tape"]),
        (replaying, "stuck", []),
        (outside, "stuck", []),
        (hung, "killed", []),
        (hung, "asked", []),
        (hung, "asked, then stuck", ["tape"]),
        (hung, "stuck, then asked", ["tape"]),
    ],
)
def test_the_next_start_quarantines_what_hung_and_nothing_else(
    begun: World, left: Callable[[WorkFile, Plan], None], how: str, quarantined: list[str]
) -> None:
    told = [] if how in ("killed", "asked") else ["detection_stuck"]
    told += ["detector_quarantined"] * len(quarantined)
    assert next_start(begun, left, how) == (quarantined, told)


def test_a_model_that_ends_the_process_again_and_again_is_quarantined(begun: World) -> None:
    for _ in range(DEATHS - 1):
        assert next_start(begun, hung, "killed")[0] == []
    assert next_start(begun, hung, "killed") == (["tape"], ["detector_quarantined"])


def test_ends_that_were_asked_for_are_no_deaths(begun: World) -> None:
    for _ in range(DEATHS):
        assert next_start(begun, hung, "asked") == ([], [])
    for how in ["killed", "asked"] * (DEATHS - 1):
        assert next_start(begun, hung, how) == ([], [])
    assert next_start(begun, hung, "killed")[0] == ["tape"]
