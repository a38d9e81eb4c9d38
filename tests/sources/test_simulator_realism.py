"""The ordinary market looks like real ones: within the range of what captures of crypto venues show."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.sources.simulator.sessions import DAY_S, day_shape, draw_pace

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "market_realism.py"))

# Of 348 thousand real Binance events: kurtosis of 1 s returns 3.8 to 25, sign autocorrelation at lag 1 0.78
# to 0.84, 62 to 75 % of trades within the millisecond of the one before. A tenth is allowed on either side.
KURTOSIS, SIGN, SAME_MS = (3.4, 27.5), (0.70, 0.92), (0.56, 0.82)


@pytest.fixture(scope="module", params=[0, 3, 7], ids=["busy", "middling", "quiet"])
def found(request: pytest.FixtureRequest) -> Any:
    return BENCHMARK["simulated"](11, request.param, 2400)


def test_returns_have_tails_as_heavy_as_real_ones(found: Any) -> None:
    assert KURTOSIS[0] <= found.return_kurtosis <= KURTOSIS[1]


def test_signs_come_in_runs_as_long_as_real_ones(found: Any) -> None:
    assert SIGN[0] <= found.sign_lag_1 <= SIGN[1]
    assert found.sign_lag_20 > 0.05


def test_trades_come_in_clusters_as_real_ones(found: Any) -> None:
    assert SAME_MS[0] <= found.same_ms <= SAME_MS[1]
    assert found.gap_sd_over_mean > 2.0


def test_the_day_is_busiest_at_its_ends() -> None:
    rate = draw_pace(20 * DAY_S, np.random.default_rng(1)).rate.reshape(20, 13, -1).mean(axis=(0, 2))
    assert rate[0] > 1.5 * rate[6]
    assert rate[-1] > 1.5 * rate[6]
    seconds = np.arange(0.0, DAY_S, 60.0)
    assert day_shape(seconds).min() == pytest.approx(day_shape(np.array([DAY_S / 2]))[0])


def test_there_are_stretches_of_calm_and_of_burst() -> None:
    rate = draw_pace(DAY_S, np.random.default_rng(2)).rate
    lately = (rate / day_shape(np.arange(DAY_S, dtype=np.float64))).reshape(-1, 10).mean(axis=1)
    assert np.quantile(lately, 0.99) > 2.5  # a burst, against the average
    assert np.quantile(lately, 0.2) < 0.6  # calm
