import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import ALL_FEATURES

from detectors.event_columns import METRIC, ORDER, QUOTE, TIMER, TRADE
from detectors.features import FAMILIES, FeatureSet, UnknownFeatureError, catalogue, parse_feature
from detectors.fields import FIELDS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("retrun_bps_10s", "unknown feature 'retrun_bps_10s' (did you mean 'return_bps_10s'?)"),
        ("spread_bsp", "unknown feature 'spread_bsp' (did you mean 'spread_bps'?)"),
        ("zzz", "unknown feature 'zzz'"),
        ("", "unknown feature ''"),
        ("return_bps", "'return_bps' needs a window from 1s to 1h (did you mean 'return_bps_10s'?)"),
        ("return_bps_10", "'return_bps_10': '10' is not a window: write 10s, 5m or 1h"),
        ("return_bps_0s", "'return_bps_0s': '0s' is not a window: write 10s, 5m or 1h"),
        ("return_bps_010s", "'return_bps_010s': '010s' is not a window: write 10s, 5m or 1h"),
        ("return_bps_10ms", "'return_bps_10ms': '10ms' is not a window: write 10s, 5m or 1h"),
        ("trade_rate_2h", "'trade_rate_2h': a window goes from 1s to 1h"),
        ("spread_bps_10s", "'spread_bps' takes no window (did you mean 'spread_bps'?)"),
        ("size", "'size' is a field of the event, not a feature"),
        ("size_mean", "'size_mean' needs a horizon from 1s to 30d (did you mean 'size_mean_1h'?)"),
        ("size_mean_31d", "'size_mean_31d': a horizon goes from 1s to 30d"),
        (
            "retrun_bps_10s_z_1h",
            "'retrun_bps_10s_z_1h': unknown feature 'retrun_bps_10s' (did you mean 'return_bps_10s_z_1h'?)",
        ),
        ("sise_mean_1h", "'sise_mean_1h': unknown feature 'sise' (did you mean 'size_mean_1h'?)"),
        ("size_mean_1h_z_1h", "'size_mean_1h_z_1h': a baseline of a baseline is not supported"),
    ],
)
def test_a_name_that_is_none_says_what_is_wrong(name, message):
    with pytest.raises(UnknownFeatureError) as caught:
        parse_feature(name)
    assert str(caught.value) == message
    assert caught.value.name == name


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"[a-z_]{1,12}_(mean|z)?_?[0-9]{1,9}[smhdx]?", fullmatch=True))
def test_any_text_is_a_feature_or_refused(text):
    try:
        feature = parse_feature(text)
    except UnknownFeatureError as refused:
        for suggestion in refused.suggestions:
            assert suggestion in FIELDS or parse_feature(suggestion).name == suggestion
    else:
        assert feature.name == text


@pytest.mark.parametrize(
    ("name", "unit", "fed_by", "needs"),
    [
        ("return_bps_10s", "bps", {TRADE}, {"price"}),
        ("trade_rate_1m", "per_second", {TRADE}, set()),
        ("notional_1m", "number", {TRADE}, {"notional"}),
        ("spread_bps", "bps", {QUOTE}, {"bid_price", "ask_price"}),
        ("imbalance", "ratio", {QUOTE}, {"bid_size", "ask_size"}),
        ("trade_to_mid_bps", "bps", {TRADE}, {"price", "bid_price", "ask_price"}),
        ("size_mean_1h", "number", {TRADE, ORDER}, {"size"}),
        ("value_sd_1h", "number", {METRIC}, {"value"}),
        ("return_bps_10s_sd_1h", "bps", {TRADE}, {"price"}),
        ("return_bps_10s_z_1h", "number", {TRADE}, {"price"}),
        ("return_bps_10s_var_1h", "number", {TRADE}, {"price"}),
        ("interarrival_s_mean_1h", "seconds", {TRADE}, set()),
    ],
)
def test_a_name_says_unit_kinds_and_fields(name, unit, fed_by, needs):
    feature = parse_feature(name)
    assert (feature.unit, feature.fed_by, feature.needs) == (unit, fed_by, needs)


def test_only_silence_is_fed_by_timers():
    assert [entry.stem for entry in catalogue() if TIMER in entry.fed_by] == ["silence_s"]


def test_the_catalogue_lists_every_family_and_each_has_a_name():
    assert {entry.stem for entry in catalogue()} == set(FAMILIES)
    for entry in catalogue():
        name = f"{entry.stem}_10s" if entry.windowed else entry.stem
        assert parse_feature(name).unit == entry.unit
        assert entry.doc


def test_one_window_under_two_names_is_one_feature():
    assert parse_feature("trade_rate_60s").spec == parse_feature("trade_rate_1m").spec
    features = FeatureSet(["trade_rate_60s", "trade_rate_1m"])
    features.grow(1)
    assert len({key.split("/")[0] for key in features.state()}) == 1


def test_specs_differ_where_features_do():
    specs = [parse_feature(name).spec for name in ALL_FEATURES if "size_" not in name]
    assert len(set(specs)) == len(specs)
