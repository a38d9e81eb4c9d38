"""Models and features go on from their state in another process, under another PYTHONHASHSEED."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from continue_scoring import main
from river_cases import NINE, PIPELINES

HERE = Path(__file__).parent


def run_elsewhere(what, folder, hash_seed):
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, str(HERE / "continue_scoring.py"), what, str(folder)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("continued")
    main("whole", folder)
    run_elsewhere("second", folder, 2)
    return {what: dict(np.load(folder / f"{what}.npz")) for what in ("whole", "second")}


def test_every_number_is_the_same_to_the_last_bit(outcomes):
    whole, second = outcomes["whole"], outcomes["second"]
    assert set(whole) == set(second)
    for name, expected in whole.items():
        assert expected.tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("name", [*NINE, *PIPELINES, "forecast", "trees", "z"])
def test_each_model_was_really_scoring(outcomes, name):
    score = outcomes["second"][f"score {name}"]
    assert np.isfinite(score).sum() > 100
    assert len(np.unique(score[np.isfinite(score)])) > 10
