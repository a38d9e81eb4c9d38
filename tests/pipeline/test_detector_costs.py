"""What `check` says of detectors: model, warm-up left, and a cost that is really measured."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, market
from pipeline_world import World, plan_of

from detectors.detector_settings import DetectorSettings
from detectors.models.model import ModelError
from streamer.pipeline.costs import cost_us
from streamer.pipeline.detector_states import DetectorState, detector_states
from streamer.store.database import open_store
from streamer.store.queries import task_statuses

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from daemon import configure, tapewatch

MODELS: dict[str, dict[str, Any]] = {
    "compiled": {"model": "HalfSpaceTrees", "features": ["return_bps_10s", "size"]},
    "robust": {"model": "RobustZ", "features": ["return_bps_10s"]},
    "river": {"model": "river.anomaly.GaussianScorer", "features": ["size"], "target": "price"},
    "of quotes": {"model": "RobustZ", "on": "quote", "features": ["spread_bps"]},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_is_timed(name: str) -> None:
    settings = DetectorSettings.model_validate(MODELS[name])
    began = time.perf_counter()
    cost = cost_us(name, settings)
    assert 0 < cost < 50_000
    # at least the quickest of the rounds has to fit into what it all took
    assert cost * 500 / 1e6 < time.perf_counter() - began


def test_it_is_the_quickest_round_over_its_rows_or_the_first_rows_of_a_slow_model() -> None:
    settings = DetectorSettings.model_validate(MODELS["robust"])
    readings = iter([0, 9, 10, 10.4, 20, 20.5, 30, 30.25, 40, 45, 50, 51, 60, 63])
    assert cost_us("quick", settings, lambda: next(readings)) == pytest.approx(0.25 / 500 * 1e6)
    slow = iter([0, 9, 10, 12])
    assert cost_us("slow", settings, lambda: next(slow)) == pytest.approx(2 / 50 * 1e6)


def test_a_model_that_cannot_be_made_is_an_error() -> None:
    with pytest.raises(ModelError):
        cost_us("x", DetectorSettings(model="NoSuchModel", features=("size",)))


def test_warm_up_left_is_counted_over_all_tasks(tmp_path: Path) -> None:
    plan = plan_of()
    assert [state.warm_up for state in detector_states(plan, [])] == [
        "all: it has seen no instrument yet"
    ] * 2
    world = World(tmp_path / "store")
    world.run(ListSource([MemoryLog(LOG, market(120, seed=41))]))
    database = open_store(str(world.store))
    try:
        tape, far = detector_states(plan, task_statuses(database))
    finally:
        database.close()
    instruments = len(world.seen[-1].task.slots)
    status = world.seen[-1].task.status["tape"][:instruments]
    assert (tape.name, tape.model, far.model) == ("tape", "HalfSpaceTrees", "RobustZ")
    assert tape.ready == int((status == 1).sum())
    assert tape.warming + tape.ready + tape.quarantined == instruments
    said = [{"detectors": {"tape": {"warming": 1, "ready": 2, "quarantined": 0}}}] * 2
    assert detector_states(plan, said)[0] == DetectorState("tape", "HalfSpaceTrees", 2, 4, 0)
    assert detector_states(plan, said)[1].warm_up.startswith("all")


def test_a_pipeline_is_named_by_its_steps() -> None:
    steps = "[river.preprocessing.StandardScaler, {model: river.anomaly.HalfSpaceTrees}]"
    pipeline = f"\n  p: {{model: {steps}, features: [size]}}\n"
    (state,) = detector_states(plan_of("\n  odd: {when: p.score > 0.5}\n", pipeline), [])
    assert state.model == "river.preprocessing.StandardScaler | river.anomaly.HalfSpaceTrees"


def test_check_shows_them(tmp_path: Path) -> None:
    shown = tapewatch("check", "--offline", "-c", configure("binance.yaml", tmp_path)).stdout
    assert "us per event (measured here)" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("tape ")]
    assert "HalfSpaceTrees" in line
    assert "all: it has seen no instrument yet" in line
    found = re.search(r"([\d.,]+)\s*$", line)
    assert found is not None
    assert 0 < float(found[1].replace(",", "")) < 10_000
