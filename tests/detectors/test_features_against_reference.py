"""Each feature against the slow, obvious way to say what it means, on streams that hypothesis makes up."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import START, batches, columns_of, random_columns

from detectors.event_columns import METRIC, ORDER, QUOTE, TIMER, TRADE
from detectors.features import FeatureSet

NS = 10**9
NAN = math.nan


@dataclass
class Event:
    slot: int
    kind: int
    clock: int
    price: float = NAN
    size: float = NAN
    bid: float = NAN
    ask: float = NAN
    bid_size: float = NAN
    ask_size: float = NAN
    value: float = NAN

    @property
    def notional(self):
        return self.price * self.size if self.kind == TRADE else NAN


@st.composite
def streams(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 1),
                st.sampled_from([TRADE, TRADE, TRADE, QUOTE, ORDER, METRIC, TIMER]),
                st.sampled_from(
                    [0, 1, 30_000_000, 50_000_000, 500_000_000, NS, 1_050_000_000, 11 * NS, 90 * NS]
                ),
                st.sampled_from([NAN, 0.5, 1.0, 2.0, 100.0, math.inf]),
                st.sampled_from([NAN, 0.0, 1.0, 3.0, 1000.0]),
            ),
            min_size=1,
            max_size=60,
        )
    )
    clock = {0: START, 1: START + 7}
    events = []
    for slot, kind, gap, a, b in rows:
        at = clock[slot] + gap
        if kind != TIMER:
            clock[slot] = at
        event = Event(slot, kind, at)
        if kind in (TRADE, ORDER):
            event.price, event.size = a, b
        elif kind == QUOTE:
            event.bid, event.ask, event.bid_size, event.ask_size = a, a * 1.01, b, a
        elif kind == METRIC:
            event.value = a
        events.append(event)
    return events


def columns_from(events):
    names = {
        "price": "price",
        "size": "size",
        "notional": "notional",
        "bid_price": "bid",
        "ask_price": "ask",
        "bid_size": "bid_size",
        "ask_size": "ask_size",
        "value": "value",
    }
    return columns_of(
        [e.slot for e in events],
        [e.kind for e in events],
        [e.clock for e in events],
        {name: [getattr(e, attribute) for e in events] for name, attribute in names.items()},
        n_slots=2,
    )


def events_from(columns):
    f = columns.fields
    return [
        Event(
            int(columns.slot[i]),
            int(columns.kind[i]),
            int(columns.clock[i]),
            f["price"][i],
            f["size"][i],
            f["bid_price"][i],
            f["ask_price"][i],
            f["bid_size"][i],
            f["ask_size"][i],
            f["value"][i],
        )
        for i in range(len(columns))
    ]


def seen_by(events, row):
    """The instrument's events up to this row, timers left out; this row too, unless it is a timer."""
    return [e for e in events[: row + 1] if e.slot == events[row].slot and e.kind != TIMER]


def window_sum(events, row, seconds, weight):
    seen = seen_by(events, row)
    now = events[row].clock
    if not seen or now - seen[0].clock < seconds * NS:
        return NAN
    bucket = seconds * NS // 20
    weights = [weight(e) for e in seen if e.clock // bucket >= now // bucket - 20]
    return math.fsum(w for w in weights if math.isfinite(w))


def trades_only(of):
    return lambda e: of(e) if e.kind == TRADE else NAN


def ratio(above, below):
    return above / below if below > 0 else NAN


def log_return(events, row, seconds):
    prices = [e for e in seen_by(events, row) if e.kind == TRADE and 0 < e.price < math.inf]
    bucket = seconds * NS // 20
    old = [e for e in prices if e.clock // bucket <= events[row].clock // bucket - 21]
    return 1e4 * math.log(prices[-1].price / old[-1].price) if old else NAN


def last_of(events, row, of):
    known = [v for v in (of(e) for e in seen_by(events, row)) if not math.isnan(v)]
    return known[-1] if known else NAN


def mid(e):
    whole = e.kind == QUOTE and 0 < e.bid < math.inf and 0 < e.ask < math.inf
    return (e.bid + e.ask) / 2 if whole else NAN


def spread(e):
    return 1e4 * (e.ask - e.bid) / mid(e)


def imbalance(e):
    both = e.bid_size + e.ask_size
    if e.kind != QUOTE or not math.isfinite(both) or both <= 0:
        return NAN
    return (e.bid_size - e.ask_size) / both


def trade_to_mid(events, row):
    found = NAN
    for at in range(row + 1):
        e = events[at]
        if e.slot == events[row].slot and e.kind == TRADE and math.isfinite(e.price):
            distance = 1e4 * (e.price / last_of(events, at, mid) - 1)
            found = found if math.isnan(distance) else distance
    return found


def interarrival(events, row):
    times = [e.clock for e in seen_by(events, row) if e.kind == TRADE]
    return (times[-1] - times[-2]) / NS if len(times) > 1 else NAN


def silence(events, row):
    seen = seen_by(events, row)
    before = seen if events[row].kind == TIMER else seen[:-1]
    return (events[row].clock - before[-1].clock) / NS if before else NAN


REFERENCE = {
    "return_bps_1s": lambda es, i: log_return(es, i, 1),
    "return_bps_10s": lambda es, i: log_return(es, i, 10),
    "trade_rate_10s": lambda es, i: window_sum(es, i, 10, trades_only(lambda e: 1.0)) / 10,
    "message_rate_1m": lambda es, i: window_sum(es, i, 60, lambda e: 1.0) / 60,
    "volume_10s": lambda es, i: window_sum(es, i, 10, trades_only(lambda e: e.size)),
    "notional_1m": lambda es, i: window_sum(es, i, 60, lambda e: e.notional),
    "log_notional_1s": lambda es, i: math.log1p(window_sum(es, i, 1, lambda e: e.notional)),
    "mean_price_10s": lambda es, i: ratio(
        window_sum(es, i, 10, trades_only(lambda e: e.price)),
        window_sum(es, i, 10, trades_only(lambda e: 1.0 if math.isfinite(e.price) else NAN)),
    ),
    "vwap_10s": lambda es, i: ratio(
        window_sum(es, i, 10, lambda e: e.notional),
        window_sum(es, i, 10, trades_only(lambda e: e.size if math.isfinite(e.price) else NAN)),
    ),
    "spread_bps": lambda es, i: last_of(es, i, spread),
    "mid": lambda es, i: last_of(es, i, mid),
    "imbalance": lambda es, i: last_of(es, i, imbalance),
    "trade_to_mid_bps": trade_to_mid,
    "interarrival_s": interarrival,
    "silence_s": silence,
}


def check(events, computed, reference, name):
    for row in range(len(events)):
        expected = reference(events, row)
        assert computed[row] == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), (name, row)


@settings(deadline=None, max_examples=30)
@given(streams())
def test_features_are_what_they_say(events):
    features = FeatureSet(list(REFERENCE))
    features.grow(2)
    computed = features.step(columns_from(events))
    for name, reference in REFERENCE.items():
        check(events, computed[name], reference, name)


@pytest.mark.parametrize("seed", range(2))
def test_features_are_what_they_say_on_long_streams(seed):
    columns = random_columns(seed, 350, n_slots=2)
    features = FeatureSet(list(REFERENCE))
    features.grow(2)
    computed = features.step(columns)
    events = events_from(columns)
    for name, reference in REFERENCE.items():
        check(events, computed[name], reference, name)


def baseline_reference(columns, x, feeds, horizon_s, lanes):
    """Mean and variance of a list of weighted observations, each weight kept one by one."""
    kept = {}
    means, variances, zs, last_z = [], [], [], {}
    for row in range(len(columns)):
        kind = int(columns.kind[row])
        cell = (int(columns.slot[row]), kind == ORDER and lanes)
        seen = kept.setdefault(cell, {"x": [], "w": [], "t": None})
        mean = variance = NAN
        if len(seen["x"]) >= 30:
            total = math.fsum(seen["w"])
            mean = math.fsum(w * v for w, v in zip(seen["w"], seen["x"], strict=True)) / total
            variance = (
                math.fsum(w * (v - mean) ** 2 for w, v in zip(seen["w"], seen["x"], strict=True)) / total
            )
        means.append(mean)
        variances.append(variance)
        zs.append(last_z.get(cell, NAN))
        if kind not in feeds or not math.isfinite(x[row]):
            continue
        z = (x[row] - mean) / math.sqrt(variance) if variance > 1e-18 else NAN
        zs[-1] = z
        if kind == TIMER:
            continue
        last_z[cell] = z
        now = int(columns.clock[row])
        total = math.fsum(seen["w"])
        if seen["t"] is not None and total > 30:
            decay = max(math.exp(-(now - seen["t"]) / NS / horizon_s), 30 / total)
            seen["w"] = [w * decay for w in seen["w"]]
        seen["t"] = now
        seen["x"].append(float(x[row]))
        seen["w"].append(1.0)
    return means, variances, zs


@pytest.mark.parametrize(
    ("base", "feeds", "horizon", "seconds", "lanes"),
    [
        ("size", {TRADE, ORDER}, "1m", 60, True),
        ("price", {TRADE, ORDER}, "1h", 3600, True),
        ("value", {METRIC}, "10s", 10, False),
        ("return_bps_10s", {TRADE}, "1m", 60, False),
        ("spread_bps", {QUOTE}, "1h", 3600, False),
        ("silence_s", {0, 1, 2, 3, 4, 5, 6}, "1m", 60, False),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_baselines_are_those_of_the_rows_before(base, feeds, horizon, seconds, lanes, seed):
    columns = random_columns(seed, 900, n_slots=2)
    names = [f"{base}_{statistic}_{horizon}" for statistic in ("mean", "var", "sd", "z")]
    features = FeatureSet(names if base in columns.fields else [*names, base])
    features.grow(2)
    computed = features.step(columns)
    x = computed[base] if base in computed else columns.fields[base]
    means, variances, zs = baseline_reference(columns, x, feeds, seconds, lanes)
    assert np.isfinite(means).sum() > 20
    np.testing.assert_allclose(computed[names[0]], means, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(computed[names[1]], variances, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(computed[names[2]], np.sqrt(variances), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(computed[names[3]], zs, rtol=1e-6, atol=1e-9)


def test_a_trade_is_not_compared_with_itself():
    n = 41
    size = np.full(n, 2.0)
    size[::2] = 4.0
    size[40] = 1000.0
    columns = columns_of(np.zeros(n), np.zeros(n), START + np.arange(n) * NS, {"size": size})
    features = FeatureSet(["size_mean_1h", "size_z_1h"])
    features.grow(1)
    computed = features.step(columns)
    assert computed["size_mean_1h"][40] == pytest.approx(3.0, abs=0.01)
    assert computed["size_z_1h"][40] == pytest.approx(997.0, rel=0.01)
    assert np.isnan(computed["size_mean_1h"][:30]).all()
    assert not np.isnan(computed["size_mean_1h"][30:]).any()


def test_after_a_night_yesterday_is_still_what_is_usual():
    n = 4000
    clock = START + np.arange(n) * NS
    clock[-10:] += 16 * 3600 * NS
    size = np.random.default_rng(3).lognormal(0, 0.5, n)
    columns = columns_of(np.zeros(n), np.zeros(n), clock, {"size": size})
    features = FeatureSet(["size_z_1h"])
    features.grow(1)
    assert np.abs(features.step(columns)["size_z_1h"][-10:]).max() < 6


def test_an_absurd_value_does_not_become_what_is_usual():
    n = 3000
    size = np.random.default_rng(3).lognormal(0, 0.5, n)
    size[1500] = 1e15
    columns = columns_of(np.zeros(n), np.zeros(n), START + np.arange(n) * NS // 10, {"size": size})
    features = FeatureSet(["size_mean_1h"])
    features.grow(1)
    mean = features.step(columns)["size_mean_1h"]
    assert mean[1501] == pytest.approx(mean[1500], rel=1.0)


@pytest.mark.parametrize("seconds", [1, 10, 3600])
@pytest.mark.parametrize("seed", range(3))
def test_a_window_covers_at_least_its_length_and_at_most_a_twentieth_more(seconds, seed):
    rng = np.random.default_rng(seed)
    n = 600
    clock = START + np.cumsum(rng.integers(0, seconds * NS // 40, n))
    name = f"trade_rate_{seconds}s"
    features = FeatureSet([name])
    features.grow(1)
    count = features.step(columns_of(np.zeros(n), np.zeros(n), clock, {}))[name] * seconds
    for row in range(n):
        if clock[row] - clock[0] < seconds * NS:
            assert math.isnan(count[row])
            continue
        ages = clock[row] - clock[: row + 1]
        at_least = np.count_nonzero(ages <= seconds * NS)
        at_most = np.count_nonzero(ages <= seconds * NS * 21 // 20)
        assert at_least <= round(count[row]) <= at_most


def test_streams_in_batches_match_too():
    columns = random_columns(9, 300, n_slots=2)
    features = FeatureSet(["return_bps_10s"])
    features.grow(2)
    pieces = [features.step(batch)["return_bps_10s"] for batch in batches(columns, 7)]
    check(events_from(columns), np.concatenate(pieces), REFERENCE["return_bps_10s"], "return_bps_10s")
