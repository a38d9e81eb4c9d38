"""What counts as caught, and what as a false alarm."""

from __future__ import annotations

import pytest

from streamer.demo.verdict import FiredAlert, judge
from streamer.sources.simulator import Anomaly

NS = 10**9
FLASH = Anomaly("flash_move", "X", 100 * NS, 110 * NS)


def verdict(*alerts: FiredAlert, planted: tuple[Anomaly, ...] = (FLASH,)):
    return judge(planted, alerts, symbols=2, seconds=86_400)


def test_the_first_alert_of_one_of_its_rules_catches_it() -> None:
    result = verdict(
        FiredAlert("price_band", "X", 105 * NS),
        FiredAlert("price_spike", "X", 103 * NS),
        FiredAlert("odd_tape", "X", 101 * NS),
    ).results[0]
    assert result.caught_by == FiredAlert("price_spike", "X", 103 * NS)
    assert result.delay_s == 3.0
    assert result.also_fired == ("odd_tape",)


@pytest.mark.parametrize(
    "alert",
    [
        FiredAlert("price_spike", "Y", 105 * NS),
        FiredAlert("price_spike", "X", 99 * NS),
        FiredAlert("price_spike", "X", 201 * NS),
    ],
    ids=["another instrument", "before", "long after"],
)
def test_what_is_elsewhere_is_a_false_alarm(alert: FiredAlert) -> None:
    result = verdict(alert)
    assert result.results[0].caught_by is None
    assert result.results[0].delay_s is None
    assert result.false_alarms == (alert,)
    assert result.false_alarms_per_symbol_day == 0.5
    assert result.kinds == {"flash_move": (0, 1)}


def test_another_rule_explains_itself_and_does_not_catch() -> None:
    result = verdict(FiredAlert("odd_tape", "X", 105 * NS))
    assert result.results[0].caught_by is None
    assert result.results[0].also_fired == ("odd_tape",)
    assert result.false_alarms == ()


def test_kinds_count_each_time() -> None:
    later = Anomaly("flash_move", "Y", 500 * NS, 510 * NS)
    result = verdict(FiredAlert("price_spike", "Y", 501 * NS), planted=(FLASH, later))
    assert result.kinds == {"flash_move": (1, 2)}
