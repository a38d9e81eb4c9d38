"""Features of the whole log: what each keeps to, and what a rule sees of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from market_bytes import LOG, MS, T0, S, quote
from pipeline_world import CONFIG, plan_of

from detectors.features import LOG_FAMILIES, UnknownFeatureError, parse_feature, parse_log_feature
from streamer.config.errors import ConfigError
from streamer.config.load import load_text
from streamer.decoding.formats import DecodeContext
from streamer.messages.records import Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.state import restore, snapshot
from streamer.pipeline.task import Task, Timer

RULES = """
  stale:
    when: silence_s > 30s
    on: timer
    clear: 0s
    escalate: {critical: silent_share_30s >= 50%}
    text: "{symbol} {silence_s:.0f} {silent_share_30s:.0%}"
  half: {when: silent_share_30s >= 50%, clear: 0s}
"""


@pytest.mark.parametrize("stem", LOG_FAMILIES)
def test_each_is_a_number_of_all_instruments_in_whatever_order(stem: str) -> None:
    feature = parse_log_feature(f"{stem}_30s")
    assert feature is not None
    assert feature.family.doc
    chance = np.random.default_rng(3)
    for n in (1, 2, 7, 500):
        silence = chance.integers(0, 90 * S, n)
        kept = silence.copy()
        value = feature.value(silence)
        assert isinstance(value, float)
        assert np.isfinite(value)
        assert feature.value(silence[::-1].copy()) == value
        assert np.array_equal(silence, kept)
        assert feature.family.unit != "ratio" or 0 <= value <= 1


@pytest.mark.parametrize(
    ("silent_s", "share"),
    [([31], 1.0), ([30], 0.0), ([31, 1], 0.5), ([31, 1, 1], 1 / 3), ([99, 31, 0], 2 / 3)],
)
def test_the_share_is_of_those_silent_for_longer(silent_s: list[int], share: float) -> None:
    feature = parse_log_feature("silent_share_30s")
    assert feature is not None
    assert feature.value(np.array(silent_s) * S) == share


def test_its_window_is_checked_and_only_rules_can_use_it() -> None:
    with pytest.raises(UnknownFeatureError, match="needs a window from 1s to 1h"):
        parse_log_feature("silent_share")
    with pytest.raises(UnknownFeatureError, match="a window goes from 1s to 1h"):
        parse_log_feature("silent_share_2h")
    for name in ("silent_share_30s", "silent_share_30s_mean_1h"):
        with pytest.raises(UnknownFeatureError, match="of the whole log, on timers: only rules can use it"):
            parse_feature(name)


def problem(rules: str = " {}", detectors: str = " {}") -> str:
    text = CONFIG.format(rules=rules, detectors=detectors, flood=5, max_instruments=4)
    with pytest.raises(ConfigError) as refused:
        compile_plan(load_text(text))
    return str(refused.value)


def test_a_configuration_says_what_is_wrong_with_it() -> None:
    near = problem("\n  a: {when: silent_shar_30s > 1}")
    assert "unknown name 'silent_shar_30s' (did you mean 'silent_share_30s'?)" in near
    assert "'silent_share_2h': a window goes from 1s to 1h" in problem("\n  a: {when: silent_share_2h > 1}")
    detector = "\n  far: {model: RobustZ, on: trade, features: [silent_share_30s]}"
    assert "only rules can use it" in problem(detectors=detector)


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("when: size > 5 and silent_share_30s >= 50%", "9:26: rules.a.when"),
        ("when: size > 5, escalate: {critical: silent_share_30s >= 50%}", "rules.a.escalate.critical"),
        (
            "when: silence_s > 30s, on: trade, escalate: {critical: silent_share_30s >= 50%}",
            "rules.a.escalate.critical",
        ),
        ("when: size > 5, measure: highest silent_share_30s", "rules.a.measure"),
        ("when: silent_share_30s > 0, on: [trade, quote]", "rules.a.when"),
    ],
)
def test_a_rule_that_it_can_never_have_a_value_for_is_refused(rule: str, place: str) -> None:
    said = problem(f"\n  a: {{{rule}}}")
    assert "'silent_share_30s' has a value on timers only: write on: timer" in said
    assert place in said


def told(instruments: int, silent: int) -> list[tuple[str, str, str, str]]:
    """Transitions, where so many instruments are silent for 31 s, and the others are not."""
    plan = plan_of(RULES, " {}", max_instruments=500)
    feed = plan.feed("trades")
    assert feed is not None
    task, found = Task(plan, LOG), []
    times = [(T0 + number * MS, number) for number in range(instruments)]
    times += [(T0 + 31 * S + number * MS, number) for number in range(silent, instruments)]
    batch = [Record(at, quote(now, 1.0, 2.0, f"S{number}"), now) for at, (now, number) in enumerate(times)]
    task.step(feed.format.decode(batch, DecodeContext("trades", feed.venue)))
    for number in (1, 2):
        task = restore(plan, LOG, snapshot(task))
        found += task.step(Timer(number, T0 + (31 + number) * S)).transitions
    bodies = [json.loads(each.body) for each in found]
    return [(body["rule"], body["symbol"], body["severity"], body["text"]) for body in bodies]


def test_one_of_many_is_a_warning_and_half_of_them_critical() -> None:
    assert told(10, 1) == [("stale", "S0", "warning", "S0 32 10%")]
    stale = [each for each in told(10, 5) if each[0] == "stale"]
    assert stale == [("stale", f"S{number}", "critical", f"S{number} 32 50%") for number in range(5)]


def test_the_only_instrument_of_a_log_is_the_whole_of_it() -> None:
    assert ("stale", "S0", "critical", "S0 32 100%") in told(1, 1)


def test_a_rule_on_it_alone_is_evaluated_on_timers() -> None:
    assert {each[1] for each in told(2, 1) if each[0] == "half"} == {"S0", "S1"}
    assert [each for each in told(3, 1) if each[0] == "half"] == []
