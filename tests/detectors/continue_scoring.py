"""The `whole` of some rows or, as a process of its own, their `second` half, by every model.

Usage: continue_scoring.py whole|second FOLDER. `whole` leaves its state there half way, `second`
goes on from it; scores of the second half are left in FOLDER by both.
"""

import pickle
import sys
from pathlib import Path

import numpy as np
from market_rows import ALL_FEATURES, part, random_columns
from river_cases import river_cases

from detectors.detector import Detector
from detectors.detector_settings import DetectorSettings
from detectors.event_columns import TRADE
from detectors.features import FeatureSet

N, HALF = 1600, 800
INPUTS = {"a": "return_bps_10s", "b": "log_notional_10s", "c": "size"}
COMPILED = {
    "trees": {"model": "HalfSpaceTrees", "features": ["a", "c"], "params": {"window_size": 50}},
    "z": {"model": "RobustZ", "features": ["a", "b", "c"]},
}


def detectors():
    found = {}
    for name, case in {**COMPILED, **river_cases()}.items():
        if str(case["model"]).startswith("own_models"):
            continue
        named = {**case, "features": [INPUTS[feature] for feature in case["features"]], "warmup": 20}
        if name in COMPILED:
            del named["warmup"]
        if "target" in case:
            named["target"] = INPUTS[case["target"]]
        found[name] = Detector(name, DetectorSettings(**named))
    return found


def main(what, folder):
    columns = random_columns(12, N, n_slots=2)
    features, models = FeatureSet(ALL_FEATURES), detectors()
    if what == "second":
        saved = pickle.loads((folder / "state").read_bytes())
        features.restore(saved.pop("features"))
        for name, model in models.items():
            model.restore(saved[name])
    for piece in [slice(0, HALF), slice(HALF, N)] if what == "whole" else [slice(HALF, N)]:
        batch = part(columns, piece)
        features.grow(2)
        values = features.step(batch)
        scores = {}
        for name, model in models.items():
            model.grow(2)
            scores[name] = model.step(batch, values)
        if piece.stop == HALF:
            state = {name: model.state() for name, model in models.items()}
            (folder / "state").write_bytes(pickle.dumps({"features": features.state(), **state}))
    assert (columns.kind[HALF:] == TRADE).sum() == len(scores["trees"].rows)
    out = {f"value {name}": array for name, array in values.items()}
    out |= {f"score {name}": said.score for name, said in scores.items()}
    out |= {f"status {name}": said.status for name, said in scores.items()}
    out |= {f"version {name}": np.array(model.version) for name, model in models.items()}
    np.savez(folder / f"{what}.npz", **out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
