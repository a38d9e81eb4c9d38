"""Streams of rows for the tests of this folder."""

import numpy as np

from detectors.event_columns import ACTIONS, HEARTBEAT, METRIC, ORDER, QUOTE, STATUS, TIMER, TRADE, Columns
from detectors.features import FAMILIES, parse_feature

START = 1_723_118_400_000_000_000
FIELDS = ("price", "size", "notional", "bid_price", "bid_size", "ask_price", "ask_size", "value")

_SOME_FEATURES = (
    "return_bps_1s",
    "return_bps_10s",
    "trade_rate_10s",
    "message_rate_1m",
    "volume_10s",
    "notional_1m",
    "log_notional_10s",
    "mean_price_10s",
    "vwap_30s",
    "spread_bps",
    "mid",
    "imbalance",
    "trade_to_mid_bps",
    "interarrival_s",
    "silence_s",
    "size_mean_1h",
    "size_var_1h",
    "size_sd_1h",
    "size_z_1m",
    "price_z_1m",
    "value_z_10s",
    "return_bps_10s_z_1h",
    "silence_s_z_1m",
    "trade_rate_10s_mean_1m",
    "quote_rate_10s",
    "order_rate_10s",
    "fill_ratio_1m",
    "pulled_size_1m",
    "missing_events",
)
_TRIED = {parse_feature(name).family for name in _SOME_FEATURES}
ALL_FEATURES = (
    *_SOME_FEATURES,
    *(
        f"{stem}_10s" if family.windowed else stem
        for stem, family in FAMILIES.items()
        if family not in _TRIED
    ),
)
"""Baselines, several windows, and every family that is registered."""


def random_columns(seed, n, n_slots=3):
    """Rows of all kinds, timers included, with clusters of one time, pauses, and values that are missing."""
    rng = np.random.default_rng(seed)
    slot = rng.integers(0, n_slots, n).astype(np.int32)
    kinds = [TRADE, QUOTE, ORDER, STATUS, METRIC, HEARTBEAT, TIMER]
    kind = rng.choice(kinds, n, p=[0.4, 0.2, 0.12, 0.02, 0.08, 0.03, 0.15]).astype(np.int8)
    gap = rng.choice(
        [0, 1_000_000, 60_000_000, 900_000_000, 40_000_000_000], n, p=[0.4, 0.3, 0.2, 0.08, 0.02]
    )
    gap = (gap * rng.uniform(0.5, 1.5, n)).astype(np.int64)
    clock = np.zeros(n, np.int64)
    now = dict.fromkeys(range(n_slots), START)
    for row in range(n):
        clock[row] = now[int(slot[row])] + gap[row]
        if kind[row] != TIMER:
            now[int(slot[row])] = int(clock[row])
    fields = {**random_fields(rng, kind), **random_orders(rng, kind), "sequence": numbered(rng, slot, kind)}
    few = (kind == ORDER) & (rng.random(n) < 0.5)  # a cancel finds its entry by price and size
    fields["price"][few] = rng.choice([99.0, 101.0], few.sum())
    fields["size"][few] = rng.choice([1.0, 5.0], few.sum())
    return columns_of(slot, kind, clock, fields, n_slots)


def random_orders(rng, kind):
    n = len(kind)
    order = kind == ORDER
    action = rng.choice([*range(len(ACTIONS)), np.nan], n, p=[0.4, 0.05, 0.25, 0.05, 0.1, 0.05, 0.05, 0.05])
    return {
        "action": np.where(order, action, np.nan),
        "side": np.where(order, rng.choice([0.0, 1.0, np.nan], n, p=[0.48, 0.48, 0.04]), np.nan),
    }


def numbered(rng, slot, kind):
    """Sequence numbers that run on by one for each instrument, with a hole, a repeat or a reset at times."""
    step = rng.choice([1.0, 2.0, 0.0, -7.0], len(slot), p=[0.97, 0.01, 0.01, 0.01])
    missing = (kind == TIMER) | (rng.random(len(slot)) < 0.05)
    number = np.full(len(slot), np.nan)
    for one in np.unique(slot):
        rows = np.flatnonzero((slot == one) & ~missing)
        number[rows] = 100.0 + np.cumsum(step[rows])
    return number


def random_fields(rng, kind):
    n = len(kind)

    def on(kinds, values):
        present = np.isin(kind, kinds) & (rng.random(n) > 0.03)
        return np.where(present, values, np.nan)

    price = on([TRADE, ORDER], 100.0 + np.cumsum(rng.normal(0, 0.05, n)))
    size = on([TRADE, ORDER], rng.lognormal(0, 1.5, n))
    mid = 100.0 + np.cumsum(rng.normal(0, 0.05, n))
    return {
        "price": price,
        "size": size,
        "notional": np.where(kind == TRADE, price * size, np.nan),
        "bid_price": on([QUOTE], mid - 0.01),
        "ask_price": on([QUOTE], mid + rng.exponential(0.02, n)),
        "bid_size": on([QUOTE], rng.integers(0, 4, n).astype(float)),
        "ask_size": on([QUOTE], rng.integers(0, 4, n).astype(float)),
        "value": on([METRIC], rng.normal(0, 1, n)),
    }


def columns_of(slot, kind, clock, fields, n_slots=None):
    slot = np.asarray(slot, np.int32)
    return Columns(
        slot,
        np.asarray(kind, np.int8),
        np.asarray(clock, np.int64),
        {name: np.asarray(values, np.float64) for name, values in fields.items()},
        int(slot.max()) + 1 if n_slots is None else n_slots,
    )


def part(columns, rows):
    return Columns(
        columns.slot[rows],
        columns.kind[rows],
        columns.clock[rows],
        {name: values[rows] for name, values in columns.fields.items()},
        columns.n_slots,
    )


def batches(columns, size):
    return [part(columns, slice(at, at + size)) for at in range(0, len(columns), size)]


def same(left, right):
    """Equal to the last bit, NaN where NaN."""
    return np.array_equal(
        np.asarray(left, np.float64).view(np.int64), np.asarray(right, np.float64).view(np.int64)
    ) or (np.array_equal(left, right, equal_nan=True))


def same_state(left, right):
    return set(left) == set(right) and all(
        left[name].dtype == right[name].dtype
        and np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f")
        for name in left
    )
