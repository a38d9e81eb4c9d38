"""Drift from the configuration to the alert, through the whole task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drift_market import DETECTORS, RULES, drift_plan, fold, hours
from list_source import ListSource, MemoryLog
from market_bytes import LOG, MS, T0, S, quote, trade
from pipeline_world import World, cycle, state_bytes

from streamer.config.load import load_text
from streamer.messages.outcome import Outcome, Transition
from streamer.messages.records import Record
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.drift_states import drift_states
from streamer.pipeline.state import reload, restore, snapshot, status_document
from streamer.pipeline.task import Timer
from streamer.store.commits import Loss
from streamer.store.database import open_store
from streamer.store.ledger import Ledger
from streamer.store.queries import AlertFilter, alerts, explain

AT = 3_000


def told(outcomes: Sequence[Outcome]) -> list[Transition]:
    return [each for outcome in outcomes for each in outcome.transitions if each.rule == "drift"]


def bodies(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in told(outcomes)]


def delay_s(body: dict[str, Any]) -> float:
    return (body["ts_event_ns"] - T0) / S - AT


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("watch", "planted", "ratio", "within_s"),
    [
        ("spread_bps", {"spread_from": AT}, 2.0, 60),
        ("trade_rate_10s", {"rate_from": AT}, 0.5, 900),
        ("tape.score", {"score_from": AT}, 3.0, 120),
    ],
)
def test_a_planted_drift_is_found(
    seed: int, watch: str, planted: dict[str, int], ratio: float, within_s: float
) -> None:
    _, outcomes = fold(drift_plan(watch), hours(AT + 1_500, seed, **planted))
    [body] = bodies(outcomes)
    assert 0 < delay_s(body) <= within_s
    values = body["values"]
    assert values["watched"] == watch
    assert values["to"] / values["from"] == pytest.approx(ratio, rel=0.3)
    assert values["to_low"] < values["to"] < values["to_high"]


def test_a_market_that_does_not_drift_raises_none() -> None:
    plan = drift_plan("spread_bps, trade_rate_10s, tape.score, alert_rate")
    task, outcomes = fold(plan, hours(2 * 3_600, trades=2.0))
    assert told(outcomes) == []
    assert all(found[0] == 1 for name, found in task.drifts.watched().items() if name != "trade_rate_10s")


def test_an_alert_that_comes_every_five_seconds_is_a_drift_of_the_alert_rate() -> None:
    _, outcomes = fold(drift_plan("alert_rate"), hours(AT + 1_500, alerts_from=AT, trades=1.0))
    [body] = bodies(outcomes)
    assert 0 < delay_s(body) <= 900
    assert (body["values"]["from"], body["values"]["to"]) == (0.0, pytest.approx(12.0, abs=1))


def test_the_alert_says_all_that_an_alert_says() -> None:
    plan = drift_plan("tape.score", ", severity: critical")
    task, outcomes = fold(plan, hours(AT + 200, score_from=AT))
    [found] = told(outcomes)
    body = json.loads(found.body)
    assert found.instrument is None
    assert (found.number, found.transition, body["origin"]) == (0, "fired", "detect")
    assert (body["venue"], body["symbol"], body["severity"]) == (None, None, "critical")
    assert (body["detector"], body["model_version"]) == ("tape", task.detectors[0].version)
    assert body["source"] == {
        "topic": "trades",
        "partition": 0,
        "offset": found.offset,
        "index": found.index,
    }
    assert body["config_hash"] == plan.config_hash
    assert body["text"].startswith("trades[0]: tape.score has drifted from ")
    decision = json.loads(found.decision)
    assert decision["rule"]["when"] == "tape.score drifts"
    assert decision["event"]["kind"] == "metric"
    assert decision["versions"]["rule_version"] == body["rule_version"]


def test_a_distribution_that_drifts_without_its_mean() -> None:
    chance, found = np.random.default_rng(3), list[Record]()
    for second in range(4_000):
        mid = 100 + (0.02 if second < 3_000 else 0.05) * chance.standard_normal()
        now = T0 + second * S
        found.append(Record(second, quote(now, mid - 0.01, mid + 0.01), now // MS * MS))
    _, outcomes = fold(drift_plan("mid"), found)
    [body] = bodies(outcomes)
    values = body["values"]
    assert values["monitor"] == "distribution"
    assert values["statistic"] > values["threshold"] >= 0.25
    assert body["text"].startswith("trades[0]: the distribution of mid has drifted: ")
    assert "(PSI 0." in body["text"]
    assert 0 < delay_s(body) <= 300


def test_each_instrument_by_itself_where_that_is_asked() -> None:
    plan = drift_plan("spread_bps", ", per_instrument: true")
    _, outcomes = fold(plan, hours(AT + 200, spread_from=AT, symbols=("ETH", "BTC"), trades=0.0))
    [found] = told(outcomes)
    body = json.loads(found.body)
    assert found.instrument == ("here", "BTC")
    assert (body["venue"], body["symbol"]) == ("here", "BTC")
    assert body["text"].startswith("here BTC: spread_bps has drifted")


EVERYTHING = "spread_bps, trade_rate_10s, tape.score, alert_rate"
DRIFTING = hours(2_400, 5, spread_from=1_500, score_from=1_700, alerts_from=1_200, trades=1.0)
WITH_TIMERS: list[Record | Timer] = [
    *DRIFTING[:5_000],
    Timer(1, T0 + 9_000 * S),
    *DRIFTING[5_000:],
]


def raised(outcomes: Sequence[Outcome]) -> list[tuple[str, bytes, bytes]]:
    return [(each.alert_id, each.body, each.decision) for out in outcomes for each in out.transitions]


@pytest.mark.parametrize(
    ("size", "per_instrument"),
    [
        (7, "true"),
        (100_000, "false"),
        *(
            pytest.param(size, each, marks=pytest.mark.long)
            for size, each in ((1, "false"), (1, "true"), (7, "false"), (100_000, "true"))
        ),
    ],
)
def test_batch_sizes_and_restores_change_no_bit(size: int, per_instrument: str, tmp_path: Path) -> None:
    plan = drift_plan(EVERYTHING, f", per_instrument: {per_instrument}")
    whole, outcomes = fold(plan, WITH_TIMERS)
    assert len(told(outcomes)) >= 2
    task, first = fold(plan, WITH_TIMERS[:3_001], size)
    task, rest = fold(plan, WITH_TIMERS[3_001:], size, restore(plan, LOG, snapshot(task)))
    assert raised([*first, *rest]) == raised(outcomes)
    assert state_bytes(task, tmp_path / "a") == state_bytes(whole, tmp_path / "b")


def test_silence_and_timers_are_no_drift() -> None:
    records = hours(1_800, trades=1.0)
    timers = [Timer(number, T0 + (1_800 + number) * S) for number in range(1, 1_000)]
    late = [
        Record(len(records) + at, quote(T0 + (50_000 + at) * S, 99.99, 100.01), (T0 + 50_000 * S) // MS * MS)
        for at in range(3)
    ]
    _, outcomes = fold(drift_plan(EVERYTHING), [*records, *timers, *late])
    assert told(outcomes) == []


def test_late_events_count_where_they_arrive() -> None:
    """An hour that arrives late is no new hour: all of it falls into the second that time has reached."""
    records = hours(1_200, trades=0.0)
    reached, now = len(records), records[-1].timestamp
    late = [Record(reached + at, quote(T0 + at * S, 90.0, 110.0), now) for at in range(1_000)]
    task, outcomes = fold(drift_plan("spread_bps"), [*records, *late])
    assert told(outcomes) == []
    assert task.late >= 999


LIES = [300, 600, 900, 1_000]


def lied_to(records: Sequence[Record]) -> list[Record]:
    """The same, with trades dated ten minutes to 150 years ahead, by their records too."""
    found = []
    for at, record in enumerate(records):
        if at in LIES:
            ahead = record.timestamp + [600, 3_600, 86_400, 150 * 365 * 86_400][LIES.index(at)] * S
            found.append(Record(len(found), trade(ahead, 100.0, 1.0, "BTC"), ahead // MS * MS))
        found.append(Record(len(found), record.value, record.timestamp))
    return found


def test_a_lie_neither_stops_drift_detection_nor_is_a_drift(tmp_path: Path) -> None:
    plan, still = drift_plan("spread_bps, trade_rate_10s"), hours(2_400, trades=1.0)
    assert told(fold(plan, lied_to(still))[1]) == []
    drifting = hours(AT + 200, spread_from=AT, trades=1.0)
    (expected,) = told(fold(drift_plan("spread_bps"), drifting)[1])
    task, outcomes = fold(drift_plan("spread_bps"), lied_to(drifting))
    (found,) = told(outcomes)
    assert abs(found.ts_event_ns - expected.ts_event_ns) <= 60 * S
    assert task.guard.counts["log_steps_back"] == len(LIES)
    cut, _ = fold(drift_plan("spread_bps"), lied_to(drifting), 7)
    assert state_bytes(task, tmp_path / "a") == state_bytes(cut, tmp_path / "b")


class TestReload:
    RECORDS = hours(AT + 200, spread_from=AT, trades=0.5)

    def cut(self) -> int:
        return next(at for at, record in enumerate(self.RECORDS) if record.timestamp >= T0 + 2_000 * S)

    def test_what_is_watched_as_before_stays_warm(self) -> None:
        cut = self.cut()
        other = drift_plan("alert_rate, spread_bps", ", severity: info", rules=RULES.replace("50", "60"))
        task, _ = fold(drift_plan("spread_bps"), self.RECORDS[:cut])
        task, outcome = reload(task, other)
        assert outcome.transitions == ()
        assert task.drifts.watched()["spread_bps"] == (1, 1, 0)
        _, outcomes = fold(other, self.RECORDS[cut:], task=task)
        [body] = bodies(outcomes)
        assert body["severity"] == "info"
        assert 0 < delay_s(body) <= 60

    @pytest.mark.parametrize(
        ("watch", "more", "detectors"),
        [
            ("spread_bps", ", per_instrument: true", DETECTORS),
            ("tape.score", "", DETECTORS.replace("on: metric", "on: [metric, trade]")),
        ],
    )
    def test_what_is_not_learns_anew(self, watch: str, more: str, detectors: str) -> None:
        task, _ = fold(drift_plan(watch), self.RECORDS[: self.cut()])
        assert task.drifts.watched()[watch] == (1, 1, 0)
        task, _ = reload(task, drift_plan(watch, more, detectors=detectors))
        assert task.drifts.watched()[watch] == (0, 1, 0)

    def test_other_rules_make_another_alert_rate(self) -> None:
        task, _ = fold(drift_plan("alert_rate"), hours(9_000, trades=0.0))
        assert task.drifts.watched()["alert_rate"] == (1, 1, 0)
        same, _ = reload(task, drift_plan("alert_rate", ", severity: info"))
        other, _ = reload(task, drift_plan("alert_rate", rules=RULES.replace("50", "60")))
        assert same.drifts.watched()["alert_rate"] == (1, 1, 0)
        assert other.drifts.watched()["alert_rate"] == (0, 1, 0)


def test_killed_and_recovered_it_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    plan, log = drift_plan(EVERYTHING), MemoryLog(LOG, DRIFTING)
    calm = World(tmp_path / "calm", plan, batch_size=400)
    calm.run(ListSource([log], cycle([900])))
    drifted = calm.ask("SELECT venue, symbol, transition FROM outbox WHERE rule = 'drift'")
    assert len(drifted) >= 2
    assert set(drifted) == {(None, None, "fired")}
    world = World(tmp_path / "killed", plan, batch_size=90)

    def poll(_: int) -> None:
        world.time.s += 1.0

    for polls in (4, 5, 7, 3):
        world.killed(ListSource([log], cycle([800]), poll), polls)
    world.run(ListSource([log], cycle([1_100]), poll))
    assert world.alerts() == calm.alerts()
    assert state_bytes(world.seen[-1].task, tmp_path / "a") == state_bytes(calm.seen[-1].task, tmp_path / "b")


def test_a_drift_is_told_once_and_is_never_open(tmp_path: Path) -> None:
    world = World(tmp_path / "store", drift_plan("spread_bps"))
    world.run(ListSource([MemoryLog(LOG, hours(AT + 100, spread_from=AT, trades=0.0))], cycle([900])))
    database = open_store(str(world.store))
    try:
        [body] = alerts(database, AlertFilter(rule="drift"), None)
        assert alerts(database, AlertFilter(only_open=True), None) == []
        [explained] = explain(database, body["id"])
        assert explained.decision["rule"]["explained"] in body["text"]
        ledger = Ledger(database, world.time)
        [row] = ledger.tasks()
        ledger.new_generation(row, (0,), [Loss(0, (0, 1))], "", world.plan.config_hash)
        assert len(alerts(database, AlertFilter(rule="drift"), None)) == 1
    finally:
        database.close()


def test_check_lists_what_is_watched_and_how_far_it_is() -> None:
    plan = drift_plan("spread_bps, alert_rate, tape.score")

    def states(seconds: int) -> list[tuple[str, str, str]]:
        task, _ = fold(plan, hours(seconds, spread_from=AT, trades=0.0))
        found = drift_states(plan, [status_document(task)])
        return [(each.rule, each.state, each.reason) for each in found]

    nothing = "the daemon has not consumed anything yet"
    assert [(each.state, each.reason) for each in drift_states(plan, [])] == [("warming", nothing)] * 3
    assert states(500)[0] == (
        "drift: spread_bps",
        "warming",
        "reference complete for 0 of 1 partition",
    )
    assert states(AT)[0] == ("drift: spread_bps", "active", "")
    assert states(AT + 100)[0][2] == "reference complete for 0 of 1 partition; 1 drift so far"


def test_a_feature_that_no_topic_can_provide_is_inactive() -> None:
    plan = compile_plan(
        load_text(
            "source:\n  kafka: {bootstrap: localhost:9092}\n"
            "  topics: [{match: spot, format: binance, venue: b}]\n"
            "drift: {watch: [spread_bps, value_mean_1h]}\n"
        )
    )
    found = [(each.rule, each.state, each.reason) for each in drift_states(plan, [])]
    assert found == [
        ("drift: spread_bps", "warming", "the daemon has not consumed anything yet"),
        ("drift: value_mean_1h", "inactive", "missing value"),
    ]


@pytest.mark.parametrize("size", [7, 100_000])
def test_time_is_the_partitions_so_an_hour_that_arrives_late_is_no_hour(size: int) -> None:
    ahead = hours(700, trades=0.0, symbols=("BTC",))
    behind = [
        Record(len(ahead) + at, record.value, record.timestamp)
        for at, record in enumerate(hours(700, 9, trades=0.0, symbols=("ETH",)))
    ]
    plan = drift_plan("spread_bps", ", per_instrument: true")
    task, _ = fold(plan, [*ahead, *behind], size)
    assert task.drifts.watched()["spread_bps"] == (1, 2, 0)


def test_alerts_that_timers_fire_count_for_the_alert_rate() -> None:
    rules = "\n  quiet: {when: silence_s > 30s, on: timer, clear: 0s}\n"
    steps = list[Record | Timer]()
    for record in hours(AT + 1_200, trades=0.0):
        steps.append(record)
        second, rest = divmod(record.timestamp - T0, S)
        if second >= AT and second % 5 == 0 and rest == 0:
            number = 2 * (second // 5)
            steps += [Timer(number, record.timestamp + 40 * S), Timer(number + 1, record.timestamp + MS)]
    _, outcomes = fold(drift_plan("alert_rate", rules=rules), steps)
    [body] = bodies(outcomes)
    assert 0 < delay_s(body) <= 900
