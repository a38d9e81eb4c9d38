"""Order traffic, pulled orders and holes in sequence numbers, against the slow way to say what they mean."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_rows import START, columns_of, random_columns

from detectors.event_columns import (
    ACTIONS,
    CANCEL,
    EXPIRE,
    FILL,
    NEW,
    ORDER,
    PARTIAL_FILL,
    QUOTE,
    SIDES,
    TRADE,
)
from detectors.features import FeatureSet

NS = 10**9
NAN = math.nan


@dataclass
class Order:
    action: str
    side: str = "buy"
    price: float = 100.0
    size: float = 50.0
    after_s: float = 0.5


def computed(orders, name):
    clock = START + np.cumsum([int(order.after_s * NS) for order in orders])
    fields = {
        "action": [ACTIONS.index(order.action) for order in orders],
        "side": [SIDES.index(order.side) for order in orders],
        "price": [order.price for order in orders],
        "size": [order.size for order in orders],
    }
    columns = columns_of(np.zeros(len(orders)), np.full(len(orders), ORDER), clock, fields)
    return FeatureSet([name]).step(columns)[name].tolist()


SPOOF = [Order("new"), Order("new", "sell", size=1), Order("fill", "sell", size=1), Order("cancel")]


def test_an_order_that_goes_when_the_other_side_is_filled_was_pulled():
    assert computed(SPOOF, "pulled_size_5s") == [0, 0, 0, 50]


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([*SPOOF[:3], Order("cancel", after_s=4.1)], id="too old"),
        pytest.param([SPOOF[0], SPOOF[3]], id="no fill meanwhile"),
        pytest.param([*SPOOF[1:3], SPOOF[0], SPOOF[3]], id="a fill before"),
        pytest.param([SPOOF[0], Order("fill", "buy", size=1), SPOOF[3]], id="a fill on the same side"),
        pytest.param([SPOOF[0], Order("partial_fill"), *SPOOF[1:]], id="touched"),
        pytest.param([*SPOOF[:3], Order("expire")], id="expired by itself"),
        pytest.param([*SPOOF[:3], Order("cancel", price=99.0)], id="another price"),
        pytest.param([*SPOOF[:3], Order("cancel", size=49.0)], id="another size"),
        pytest.param([*SPOOF[:3], Order("cancel", "sell")], id="another side"),
    ],
)
def test_what_was_not_pulled(orders):
    assert computed(orders, "pulled_size_5s")[-1] == 0


def test_it_is_the_row_of_the_cancel_alone():
    assert computed([*SPOOF, Order("new", price=90.0)], "pulled_size_5s")[-2:] == [50, 0]


def test_the_largest_are_remembered_among_many():
    many = [Order("new", "buy", price=1.0 + number, size=1.0, after_s=0.001) for number in range(100)]
    assert computed([SPOOF[0], *many, *SPOOF[1:]], "pulled_size_5s")[-1] == 50
    assert computed([*many, *SPOOF], "pulled_size_5s")[-1] == 50


def pulled_reference(columns, window_s):
    """With a memory of everything: the same as long as no more orders rest than are remembered."""
    f, out, last = columns.fields, [], {}
    resting, fills = {}, {}
    for row in range(len(columns)):
        s = int(columns.slot[row])
        action, side = f["action"][row], f["side"][row]
        if not (math.isnan(action) or math.isnan(side)):
            last[s] = 0.0
            key = (s, side, f["price"][row], f["size"][row])
            usable = math.isfinite(key[2]) and math.isfinite(key[3])
            if action == NEW and usable:
                entry = (int(columns.clock[row]), fills.get((s, 1 - side), 0))
                resting.setdefault(key, []).append(entry)
            elif action in (CANCEL, EXPIRE, FILL, PARTIAL_FILL):
                now = int(columns.clock[row])
                known = [e for e in resting.get(key, []) if now - e[0] <= window_s * NS]
                if known:
                    entry = known.pop(0)
                    resting[key] = known
                    if action == CANCEL and fills.get((s, 1 - side), 0) > entry[1]:
                        last[s] = f["size"][row]
                if action in (FILL, PARTIAL_FILL):
                    fills[s, side] = fills.get((s, side), 0) + 1
        out.append(last.get(s, NAN))
    return out


def missing_reference(columns):
    out, seen = [], {}
    for row in range(len(columns)):
        numbers = seen.setdefault(int(columns.slot[row]), [])
        number = columns.fields["sequence"][row]
        if not math.isnan(number) and (not numbers or number != numbers[-1]):
            numbers.append(number)
        run = 0
        while run < len(numbers) - 1 and numbers[-1 - run] - numbers[-2 - run] == 1:
            run += 1
        if run >= 30:
            out.append(0.0)
        elif run or len(numbers) < 2 or numbers[-1] < numbers[-2]:
            out.append(NAN)
        else:
            before = numbers[-32:-1]
            steady = len(before) == 31 and all(np.diff(before) == 1)
            out.append(numbers[-1] - numbers[-2] - 1 if steady else NAN)
    return out


@pytest.mark.parametrize("seed", range(6))
def test_holes_are_those_behind_a_long_run(seed):
    columns = random_columns(seed, 1500, n_slots=2)
    found = FeatureSet(["missing_events"]).step(columns)["missing_events"]
    np.testing.assert_array_equal(found, missing_reference(columns))
    assert (found > 0).any()


def test_a_feed_that_numbers_its_venue_has_no_holes():
    number = np.cumsum(np.random.default_rng(1).integers(1, 4, 500))
    columns = columns_of(
        np.zeros(500), np.full(500, QUOTE), START + np.arange(500) * NS, {"sequence": number}
    )
    assert not (FeatureSet(["missing_events"]).step(columns)["missing_events"] > 0).any()


@st.composite
def order_streams(draw):
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from([NEW, NEW, CANCEL, CANCEL, EXPIRE, FILL, PARTIAL_FILL, NAN]),
                st.sampled_from([0.0, 1.0, NAN]),
                st.sampled_from([1.0, 2.0, NAN, math.inf]),
                st.sampled_from([0, 1, NS, 4 * NS, 6 * NS]),
            ),
            min_size=1,
            max_size=16,  # what is remembered: none has to make room
        )
    )
    action, side, price, gap = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    clock = START + np.cumsum(gap.astype(np.int64))
    fields = {"action": action, "side": side, "price": price, "size": np.full(len(rows), 3.0)}
    return columns_of(np.zeros(len(rows)), np.full(len(rows), ORDER), clock, fields)


@settings(deadline=None, max_examples=150)
@given(order_streams())
def test_pulled_is_what_it_says(columns):
    found = FeatureSet(["pulled_size_5s"]).step(columns)["pulled_size_5s"]
    np.testing.assert_array_equal(found, pulled_reference(columns, 5))


def test_rates_count_their_own_kind_and_fills_are_held_against_entries():
    kinds = [ORDER, QUOTE, TRADE] * 20
    action = [NEW, NAN, NAN, FILL, NAN, NAN, CANCEL, NAN, NAN, NEW, NAN, NAN] * 5
    clock = START + np.arange(60) * NS
    columns = columns_of(np.zeros(60), kinds, clock, {"action": action})
    out = FeatureSet(["order_rate_10s", "quote_rate_10s", "fill_ratio_10s"]).step(columns)
    seen = range(60 - 11, 60)
    orders = [row for row in seen if kinds[row] == ORDER]
    assert out["order_rate_10s"][-1] == pytest.approx(len(orders) / 10)
    assert out["quote_rate_10s"][-1] == pytest.approx(sum(kinds[row] == QUOTE for row in seen) / 10)
    new, filled = (sum(action[row] == what for row in orders) for what in (NEW, FILL))
    assert out["fill_ratio_10s"][-1] == pytest.approx(filled / new)
    assert np.isnan(FeatureSet(["fill_ratio_1s"]).step(columns)["fill_ratio_1s"]).any()
