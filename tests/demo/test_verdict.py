"""What counts as caught, and what as a false alarm."""

from __future__ import annotations

import pytest

from streamer.demo.verdict import Fired, judge
from streamer.sources.simulator import Anomaly

NS = 10**9
FLASH = Anomaly("flash_move", "X", 100 * NS, 110 * NS)


def verdict(*fired: Fired, planted: tuple[Anomaly, ...] = (FLASH,)):
    return judge(planted, fired, symbols=2, seconds=86_400)


def test_the_first_alert_of_one_of_its_rules_catches_it() -> None:
    found = verdict(
        Fired("price_band", "X", 105 * NS),
        Fired("price_spike", "X", 103 * NS),
        Fired("odd_tape", "X", 101 * NS),
    ).found[0]
    assert found.by == Fired("price_spike", "X", 103 * NS)
    assert found.delay_s == 3.0
    assert found.also == ("odd_tape",)


@pytest.mark.parametrize("alert", [Fired("price_spike", "Y", 105 * NS), Fired("price_spike", "X", 99 * NS),
                                   Fired("price_spike", "X", 201 * NS)],
                         ids=["another instrument", "before", "long after"])  # fmt: skip
def test_what_is_elsewhere_is_a_false_alarm(alert: Fired) -> None:
    found = verdict(alert)
    assert found.found[0].by is None
    assert found.found[0].delay_s is None
    assert found.false_alarms == (alert,)
    assert found.false_alarms_per_symbol_day == 0.5
    assert found.kinds == {"flash_move": (0, 1)}


def test_another_rule_explains_itself_and_does_not_catch() -> None:
    found = verdict(Fired("odd_tape", "X", 105 * NS))
    assert found.found[0].by is None
    assert found.found[0].also == ("odd_tape",)
    assert found.false_alarms == ()


def test_kinds_count_each_time() -> None:
    later = Anomaly("flash_move", "Y", 500 * NS, 510 * NS)
    found = verdict(Fired("price_spike", "Y", 501 * NS), planted=(FLASH, later))
    assert found.kinds == {"flash_move": (1, 2)}
