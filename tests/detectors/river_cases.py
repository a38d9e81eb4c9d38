"""Every model that River's anomaly module exports, three pipelines, and a few more, as configured."""

_ANOMALY = "river.anomaly."
_TREES = {"model": _ANOMALY + "HalfSpaceTrees", "params": {"window_size": 40, "n_trees": 4}}
_SVM = {"model": _ANOMALY + "OneClassSVM", "params": {"nu": 0.2}}
_SCALER = {"model": "river.preprocessing.StandardScaler"}

NINE = {
    "GaussianScorer": {"target": "b", "params": {"window_size": 60, "grace_period": 40}},
    "HalfSpaceTrees": {"params": _TREES["params"]},
    "LODA": {"params": {"n_random_cuts": 20}},
    "OneClassSVM": {},
    "QuantileFilter": {"params": {"anomaly_detector": _SVM, "q": 0.9}},
    "StandardAbsoluteDeviation": {"target": "b"},
    "ThresholdFilter": {"params": {"anomaly_detector": _TREES, "threshold": 0.8}},
    "LocalOutlierFactor": {"params": {"n_neighbors": 5}},
    "PredictiveAnomalyDetection": {"target": "b"},
}
"""By the name in `river.anomaly`: the rest of the settings."""

PIPELINES = {
    "scaled svm": {"model": [_SCALER, _SVM]},
    "scaled trees": {"model": ["river.preprocessing.MinMaxScaler", _TREES]},
    "sampled svm": {"model": [_SCALER, {"model": "river.feature_extraction.RBFSampler"}, _SVM]},
}

MORE = {
    "forecast": {
        "model": _ANOMALY + "PredictiveAnomalyDetection",
        "target": "b",
        "params": {
            "predictive_model": {
                "model": "river.time_series.SNARIMAX",
                "params": {
                    "p": 2,
                    "d": 1,
                    "q": 1,
                    "regressor": [_SCALER, {"model": "river.linear_model.LinearRegression"}],
                },
            },
            "warmup_period": 20,
        },
    },
    "scaled target": {"model": [_SCALER, {"model": _ANOMALY + "GaussianScorer"}], "target": "b"},
    "filtered": {
        "model": [
            _SCALER,
            {"model": _ANOMALY + "QuantileFilter", "params": {"anomaly_detector": _SVM, "q": 0.95}},
        ]
    },
    "swinn": {
        "model": _ANOMALY + "LocalOutlierFactor",
        "params": {"n_neighbors": 5, "engine": {"model": "river.neighbors.SWINN", "params": {"maxlen": 200}}},
    },
    "own": {"model": "own_models.Distance", "params": {"power": 2}},
    "own, by chance": {"model": "own_models.HidesChance", "params": {"seed": 3}},
}


def river_cases():
    cases = {name: {"model": _ANOMALY + name, **rest} for name, rest in NINE.items()}
    cases |= PIPELINES
    cases |= MORE
    return {name: {"features": ["a", "c"], **case} for name, case in cases.items()}
