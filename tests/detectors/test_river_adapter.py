import copy
import importlib
import math
import signal

import numpy as np
import pytest
from market_rows import same, same_state
from river import anomaly, compose, feature_extraction, linear_model, preprocessing
from river_cases import NINE, river_cases

from detectors.detector_settings import DetectorSettings
from detectors.models import QUARANTINED, READY, WARMING, ModelError, build_model
from detectors.models.model import ModelStateError
from detectors.slot_arrays import StateMismatchError

CASES = river_cases()


def settings_of(**given):
    return DetectorSettings(**{"features": ["a", "c"], **given})


def rows(n=300, seed=0, n_slots=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, n_slots, n).astype(np.int32), rng.normal(size=(n, 2)), rng.normal(size=n)


def stepped(model, slot, x, y, learn=None):
    n = len(slot)
    model.grow(int(slot.max()) + 1)
    return model.step(slot, x, y, np.ones(n, np.bool_) if learn is None else learn)


def rivers_way(model, x, y, with_y):
    """Score each row, then learn it; the first is only learnt."""
    said = []
    for row, (a, c) in enumerate(x.tolist()):
        given = {"a": a, "c": c}
        extra = ((y[row].item(),) if with_y else ()) if not isinstance(model, compose.Pipeline) else ()
        said.append(math.nan if row == 0 else model.score_one(given, *extra))
        model.learn_one(given, *extra)
    return np.array(said, float)


def test_every_model_that_river_exports_is_a_case():
    assert set(NINE) == set(anomaly.__all__)


@pytest.mark.parametrize("name", CASES)
def test_a_model_scores_once_it_is_warm(name):
    model = build_model(DetectorSettings(**CASES[name]))
    score, status = stepped(model, *rows())
    assert set(status.tolist()) == {WARMING, READY}
    assert np.isnan(score[status == WARMING]).all()
    assert np.isfinite(score[status == READY]).all()
    assert not model.quarantined()


@pytest.mark.parametrize(
    ("settings", "made", "with_y"),
    [
        (CASES["GaussianScorer"], lambda: anomaly.GaussianScorer(60, 40), True),
        (CASES["HalfSpaceTrees"], lambda: anomaly.HalfSpaceTrees(n_trees=4, window_size=40, seed=0), False),
        (CASES["LODA"], lambda: anomaly.LODA(n_random_cuts=20, seed=0), False),
        (CASES["OneClassSVM"], anomaly.OneClassSVM, False),
        (CASES["QuantileFilter"], lambda: anomaly.QuantileFilter(anomaly.OneClassSVM(nu=0.2), q=0.9), False),
        (CASES["StandardAbsoluteDeviation"], anomaly.StandardAbsoluteDeviation, True),
        (
            CASES["ThresholdFilter"],
            lambda: anomaly.ThresholdFilter(
                anomaly.HalfSpaceTrees(n_trees=4, window_size=40, seed=0), threshold=0.8
            ),
            False,
        ),
        (CASES["LocalOutlierFactor"], lambda: anomaly.LocalOutlierFactor(5), False),
        (CASES["PredictiveAnomalyDetection"], anomaly.PredictiveAnomalyDetection, True),
        (CASES["scaled svm"], lambda: preprocessing.StandardScaler() | anomaly.OneClassSVM(nu=0.2), False),
        (
            CASES["sampled svm"],
            lambda: (
                preprocessing.StandardScaler()
                | feature_extraction.RBFSampler(seed=0)
                | anomaly.OneClassSVM(nu=0.2)
            ),
            False,
        ),
        (
            {
                **CASES["PredictiveAnomalyDetection"],
                "params": {
                    "predictive_model": [
                        {"model": "river.preprocessing.StandardScaler"},
                        {"model": "river.linear_model.LinearRegression", "params": {"l2": 0.1}},
                    ],
                    "warmup_period": 30,
                },
            },
            lambda: anomaly.PredictiveAnomalyDetection(
                preprocessing.StandardScaler() | linear_model.LinearRegression(l2=0.1), warmup_period=30
            ),
            True,
        ),
    ],
)
def test_scores_are_rivers_own(settings, made, with_y):
    slot, x, y = rows()
    score, status = stepped(build_model(DetectorSettings(**settings)), slot, x, y)
    ready = status == READY
    assert np.array_equal(score[ready], rivers_way(made(), x, y, with_y)[ready])
    assert ready.any()


def test_the_uncompiled_trees_are_the_compiled_ones_missing_inputs_too():
    slot, x, y = rows(800, n_slots=2)
    x = 1 / (1 + np.exp(-x))
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    whole = [np.flatnonzero(slot == s)[0] for s in (0, 1)]
    x[whole] = 0.5
    x[np.isnan(x).all(axis=1), 0] = 0.25
    params = {"window_size": 60, "seed": 5}
    found = [
        stepped(build_model(settings_of(model=name, params=params)), slot, x, y)
        for name in ("HalfSpaceTrees", "river.anomaly.HalfSpaceTrees")
    ]
    assert same(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [7])
def test_batches_and_a_restored_state_give_the_same(name, size):
    slot, x, y = rows(160, seed=4, n_slots=2)
    settings = DetectorSettings(**{**CASES[name], "warmup": 20})
    expected, status = stepped(build_model(settings), slot, x, y)
    model = build_model(settings)
    model.grow(2)
    found = []
    for at in range(0, 160, size):
        piece = slice(at, at + size)
        if at - size < 100 <= at:
            state = copy.deepcopy(model.state())
            model = build_model(settings)
            model.restore(state)
        found.append(stepped(model, slot[piece], x[piece], y[piece])[0])
    assert same(np.concatenate(found), expected)
    assert (status == READY).any()


@pytest.mark.parametrize("name", ["PredictiveAnomalyDetection", "LocalOutlierFactor", "own"])
def test_rows_that_are_not_learnt_leave_no_trace(name):
    slot, x, y = rows(300)
    learn = np.random.default_rng(2).random(300) < 0.7
    model, other = (build_model(DetectorSettings(**{**CASES[name], "warmup": 20})) for _ in range(2))
    score, status = stepped(model, slot, x, y, learn)
    kept, _ = stepped(other, slot[learn], x[learn], y[learn])
    assert same(score[learn], kept)
    assert np.isfinite(score[(status == READY) & ~learn]).all()


def test_asking_about_a_wild_row_does_not_change_a_model_that_counts_questions():
    model = build_model(settings_of(model="own_models.CountsQuestions", warmup=1))
    slot, x, y = rows(10)
    learn = np.ones(10, np.bool_)
    learn[4:7] = False
    score, _ = stepped(model, slot, x, y, learn)
    assert score.tolist()[1:] == [1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("own_models.Raises", "KeyError: 'b\\nand more'"),
        ("own_models.RaisesInLearning", "ZeroDivisionError"),
        ("own_models.Panics", "PanicException: Value is NaN: FloatIsNan"),
        ("own_models.Exits", "SystemExit: 3"),
        ("own_models.GivesUp", "GeneratorExit"),
        ("own_models.HasNoWords", "SilentError"),
        ("own_models.HasOddWords", r"OSError: \x1b[2J no \udc80 é"),
    ],
)
def test_a_model_that_fails_is_quarantined_for_its_instrument_alone(model, reason):
    slot, x, y = rows(400, n_slots=2)
    at = int(np.flatnonzero(slot == 1)[150])
    x[at, 0] = 1000.0
    settings = settings_of(model=model, warmup=10)
    score, status = stepped(bank := build_model(settings), slot, x, y)
    assert bank.quarantined() == {1: reason}
    after = (np.arange(400) >= at) & (slot == 1)
    assert (status[after] == QUARANTINED).all()
    assert np.isnan(score[after]).all()
    assert (status[~after] != QUARANTINED).all()
    alone, _ = stepped(build_model(settings), slot[slot == 0], x[slot == 0], y[slot == 0])
    assert same(score[slot == 0], alone)
    restored = build_model(settings)
    restored.restore(bank.state())
    assert restored.quarantined() == bank.quarantined()
    assert (stepped(restored, slot, x, y)[1][slot == 1] == QUARANTINED).all()


@pytest.mark.parametrize("what", ["nan", "inf", "text", "none", "bool"])
def test_a_score_that_is_no_finite_number_is_quarantined(what):
    model = build_model(settings_of(model="own_models.Says", params={"what": what}, warmup=10))
    _, status = stepped(model, *rows(30))
    assert status.tolist() == [WARMING] * 10 + [QUARANTINED] * 20
    assert model.quarantined()[0].startswith("score_one gave ")


def test_a_model_that_cannot_score_yet_is_given_its_time():
    model = build_model(settings_of(model="own_models.NotYet", warmup=10))
    _, status = stepped(model, *rows(30))
    assert status.tolist() == [WARMING] * 10 + [READY] * 20


def test_a_failure_on_a_row_that_is_not_learnt_is_no_reason_to_stop():
    slot, x, y = rows(30)
    x[20, 0] = 1000.0
    learn = np.ones(30, np.bool_)
    learn[20] = False
    model = build_model(settings_of(model="own_models.Raises", warmup=10))
    score, status = stepped(model, slot, x, y, learn)
    assert np.flatnonzero(np.isnan(score[10:])).tolist() == [10]
    assert status[-1] == READY


def test_an_interrupt_is_not_the_models_failure():
    slot, x, y = rows(30)
    x[20, 0] = 1000.0
    model = build_model(settings_of(model="own_models.Interrupts", warmup=10))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            stepped(model, slot, x, y)
    finally:
        signal.signal(signal.SIGINT, before)


def test_rows_that_are_not_whole_are_not_shown():
    slot, x, y = rows(200)
    x[120:130, 1] = np.nan
    x[140, 0] = np.inf
    model, other = (build_model(settings_of(model="river.anomaly.OneClassSVM")) for _ in range(2))
    score, status = stepped(model, slot, x, y)
    whole = np.isfinite(x).all(axis=1)
    expected, _ = stepped(other, slot[whole], x[whole], y[whole])
    assert same(score[whole], expected)
    assert np.isnan(score[~whole]).all()
    assert (status[120:130] == READY).all()
    assert not model.quarantined()


def test_warmup_is_what_the_model_needs_or_what_is_set():
    def ready_at(**given):
        return int(np.flatnonzero(stepped(build_model(settings_of(**given)), *rows(300))[1] == READY)[0])

    assert ready_at(model="river.anomaly.OneClassSVM") == 100
    assert ready_at(model="river.anomaly.OneClassSVM", warmup=7) == 7
    assert ready_at(model="river.anomaly.HalfSpaceTrees") == 250
    assert ready_at(**CASES["scaled trees"]) == 40


def test_the_seed_reaches_every_part():
    def scores(seed):
        case = {**CASES["sampled svm"], "params": {"seed": seed}}
        return stepped(build_model(DetectorSettings(**case)), *rows())[0]

    assert same(scores(1), scores(1))
    assert not same(scores(1), scores(2))


def test_each_instrument_has_a_model_of_its_own():
    slot, x, y = rows(400, n_slots=2)
    settings = DetectorSettings(**CASES["own, by chance"])
    score, _ = stepped(build_model(settings), slot, x, y)
    for one in (0, 1):
        alone, _ = stepped(
            build_model(settings), np.zeros((slot == one).sum(), np.int32), x[slot == one], y[slot == one]
        )
        assert same(score[slot == one], alone)


@pytest.mark.parametrize(
    ("given", "message", "path"),
    [
        (
            {"model": "HalfSpaceTree"},
            "unknown model 'HalfSpaceTree' (did you mean 'HalfSpaceTrees'?)",
            ("model",),
        ),
        (
            {"model": "Zebra"},
            "unknown model 'Zebra': there are HalfSpaceTrees, RobustZ, "
            "and import names such as river.anomaly.LODA",
            ("model",),
        ),
        (
            {"model": "river.anomaly.LocalOutlierFactr"},
            "river.anomaly has no 'LocalOutlierFactr' (did you mean 'river.anomaly.LocalOutlierFactor'?)",
            ("model",),
        ),
        (
            {"model": "rivver.anomaly.LODA"},
            "cannot import 'rivver.anomaly.LODA': No module named 'rivver'",
            ("model",),
        ),
        ({"model": "own_models.a_function"}, "'own_models.a_function' is not a class", ("model",)),
        (
            {"model": "own_models.NoDetector"},
            "NoDetector is not an anomaly detector: it has no score_one",
            ("model",),
        ),
        (
            {"model": ["river.anomaly.LODA", "river.preprocessing.StandardScaler"]},
            "StandardScaler is not an anomaly detector: it has no score_one",
            ("model",),
        ),
        (
            {"model": "river.anomaly.LODA", "params": {"n_bin": 3}},
            "river.anomaly.LODA has no parameter 'n_bin' (did you mean 'n_bins'?)",
            ("params", "n_bin"),
        ),
        (
            {
                "model": "river.anomaly.QuantileFilter",
                "params": {"anomaly_detector": {"model": "river.anomaly.LODA"}},
            },
            "river.anomaly.QuantileFilter cannot be built: QuantileFilter.__init__() missing 1 required "
            "positional argument: 'q'",
            ("params",),
        ),
        (
            {
                "model": "river.anomaly.ThresholdFilter",
                "params": {"threshold": 1, "anomaly_detector": {"model": "river.anomaly.LODO"}},
            },
            "river.anomaly has no 'LODO' (did you mean 'river.anomaly.LODA'?)",
            ("params", "anomaly_detector", "model"),
        ),
        ({"model": "river.anomaly.LODA", "target": "b"}, "LODA takes no target", ("target",)),
        (
            {"model": "river.anomaly.GaussianScorer"},
            "GaussianScorer needs a target: the feature that it predicts",
            ("target",),
        ),
        (
            {"model": ["river.preprocessing.StandardScaler", "river.anomaly.GaussianScorer"]},
            "GaussianScorer needs a target: the feature that it predicts",
            ("target",),
        ),
        (
            {"model": [{"model": "river.compose.Select"}, "river.anomaly.LODA"]},
            "Select is not deterministic: it iterates over a set of names, whose order differs between "
            "processes; list only the features you want instead",
            ("model",),
        ),
        (
            {"model": "own_models.Dice"},
            "it is not deterministic: two copies of it scored the same rows differently",
            ("model",),
        ),
        (
            {"model": "own_models.KeepsASet"},
            "it is not deterministic: KeepsASet holds a set of names, whose order differs between "
            "processes (use a dict or a list)",
            ("model",),
        ),
        (
            {"model": "river.anomaly.LODA", "params": {"seed": "x"}},
            "seed must be a whole number",
            ("params", "seed"),
        ),
        ({"model": "HalfSpaceTrees", "target": "b"}, "HalfSpaceTrees takes no target", ("target",)),
        ({"model": "HalfSpaceTrees", "warmup": 5}, "HalfSpaceTrees has a fixed warm-up", ("warmup",)),
        (
            {"model": "HalfSpaceTrees", "params": {"limits": {}}},
            "HalfSpaceTrees has no parameter 'limits': there are n_trees, height, window_size, seed",
            ("params", "limits"),
        ),
        (
            {"model": "HalfSpaceTrees", "params": {"windowsize": 5}},
            "HalfSpaceTrees has no parameter 'windowsize' (did you mean 'window_size'?)",
            ("params", "windowsize"),
        ),
        (
            {"model": "HalfSpaceTrees", "params": {"height": 13}},
            "height must be a whole number from 1 to 12",
            ("params", "height"),
        ),
        (
            {"model": "RobustZ", "params": {"memory": 1.5}},
            "memory must be a whole number from 64 to 1000000",
            ("params", "memory"),
        ),
    ],
)
def test_a_model_that_cannot_be_made_says_why(given, message, path):
    with pytest.raises(ModelError) as caught:
        build_model(settings_of(**given))
    assert str(caught.value) == message
    assert caught.value.path == path


def test_a_model_that_cannot_be_pickled_is_refused():
    with pytest.raises(ModelError, match="it cannot be stored in a checkpoint: "):
        build_model(settings_of(model="own_models.CannotBeKept"))


def test_the_version_tells_a_users_own_code():
    ours = build_model(settings_of(model="own_models.Distance")).version
    assert ours.startswith("river ")
    assert " with " in ours
    assert " with " not in build_model(settings_of(model="river.anomaly.LODA")).version


def test_state_is_flat_arrays_and_stays_as_it_was():
    slot, x, y = rows(200)
    model = build_model(settings_of(model="river.anomaly.LODA"))
    stepped(model, slot, x, y)
    state = model.state()
    kept = {name: array.copy() for name, array in state.items()}
    stepped(model, slot, x, y)
    assert same_state(state, kept)
    assert {array.dtype for array in state.values()} == {np.dtype(d) for d in (np.int64, np.int8, np.uint8)}


def test_a_damaged_state_is_refused():
    model = build_model(settings_of(model="river.anomaly.OneClassSVM"))
    stepped(model, *rows(20))
    state = model.state()
    for damage in ({"pickles": state["pickles"][:-1]}, {"lengths": state["lengths"][:0]}):
        with pytest.raises(StateMismatchError, match="incomplete"):
            build_model(settings_of(model="river.anomaly.OneClassSVM")).restore({**state, **damage})


def unusual(model):
    slot, x, y = rows(n_slots=2)
    x[200, 0] = 1000.0
    built = build_model(settings_of(model=model, warmup=1))
    stepped(built, slot, x, y)
    return built, slot[200]


def test_a_model_that_cannot_be_copied_says_why():
    model, _ = unusual("own_models.KeepsAFunction")
    with pytest.raises(ModelStateError, match=r"what its model has learnt cannot be pickled: .*lambda"):
        model.state()


def test_a_model_that_cannot_be_loaded_is_quarantined_for_its_instrument():
    model, slot = unusual("own_models.ComesNotBack")
    again = build_model(settings_of(model="own_models.ComesNotBack", warmup=1))
    again.restore(model.state())
    assert again.quarantined() == {
        slot: "what it had learnt cannot be loaded: RuntimeError: cannot come back"
    }


def test_a_model_of_which_there_can_be_no_more_copies_is_quarantined_for_the_next_instrument(monkeypatch):
    slot, x, y = rows(400, n_slots=2)
    model = build_model(settings_of(model="own_models.CopiedAFewTimes", warmup=10))
    cls = importlib.import_module("own_models").CopiedAFewTimes
    monkeypatch.setattr(cls, "most", cls.copies + 1)
    _, status = stepped(model, slot, x, y)
    (late,) = {0, 1} - {int(slot[0])}
    assert model.quarantined() == {
        late: "it cannot be copied for this instrument: OSError: too many open files"
    }
    assert (status[slot == slot[0]] != QUARANTINED).all()
