"""Show d: killed at random moments, the daemon ends with the same alerts as one that was left alone."""

from __future__ import annotations

import filecmp
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from captured import FILES, best_captures
from daemon import SECRETS, Daemon, configure, tapewatch
from forked import Forked
from kafka import KafkaConsumer, TopicPartition
from kills import Killer
from refolded import differences, left_states, refolded, told_by
from stores import bodies, consumed, sent, sorted_lines, undelivered

from streamer.config.load import load
from streamer.pipeline.compile import compile_plan

ALERTS_A_KILL = 10
RATE = 400  # events a second: for as long as kills take, which depends on the machine


class Flow:
    """Records on their way into a topic at a throttled rate, from a process of its own."""

    def __init__(self, config: Path, topic: str, files: tuple[Path, ...]) -> None:
        self._said = config.with_suffix(".published")
        command = ["publish", "-c", config, "--topic", topic, "--rate", str(RATE)]
        self._process = Forked(
            [*command, *files], SECRETS, [Path(os.devnull), self._said, self._said], Path.cwd()
        )

    def __enter__(self) -> Flow:
        return self

    @property
    def ended(self) -> bool:
        """Whether all of the files has been sent."""
        return self._process.poll() is not None

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(30)


def records_in(broker: str, topic: str) -> int:
    """How many records a topic holds of which nothing was ever removed."""
    consumer = KafkaConsumer(bootstrap_servers=broker)
    ends = consumer.end_offsets(
        [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic)]
    )
    consumer.close()
    return sum(ends.values())


def run_with_kills(config: Path, store: Path, broker: str, topic: str, slack: Any, kills: int) -> Killer:
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: " running " in daemon.output(), "a start with compiled kernels", 300)
        with Flow(config, topic, best_captures().files) as flow:
            killer = Killer(daemon, store, slack, seed=7)
            for _ in range(kills):
                daemon.wait_until(lambda: daemon.running, "a start")
                killer.kill_once()
            enough = ALERTS_A_KILL * kills
            daemon.wait_until(
                lambda: flow.ended or len(bodies(store)) >= enough, f"{enough} alerts, or all records", 400
            )
        records = records_in(broker, topic)
        daemon.wait_until(lambda: consumed(store) == records, "everything consumed", 180)
        daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered", 180)
        assert daemon.stop() == 0, daemon.output()[-3000:]
    print(f"kills by phase: {dict(killer.phases)}")
    assert killer.phases.total() == kills
    assert "Traceback" not in daemon.output()
    return killer


def recorded_and_folded(config: Path) -> tuple[Path, Path]:
    recording = config.with_suffix(".recorded.jsonl.zst")
    alerts, scores = config.with_suffix(".alerts.jsonl"), config.with_suffix(".scores.csv")
    tapewatch("record", "-c", config, "-o", recording)
    tapewatch("replay", "-q", "-c", config, recording, "--alerts", alerts, "--scores", scores)
    return alerts, scores


def assert_all_delivered(slack: Any, wanted: list[bytes]) -> None:
    """At the webhook every body under its key, and under no key two bodies; in Slack the same by metadata."""
    posts = defaultdict(set)
    for post in slack.of("webhook/ops"):
        posts[post.headers["webhook-id"]].add(post.body)
    alerts = [json.loads(body) for body in wanted]
    assert posts == {
        f"{alert['id']}-{alert['number']}": {body} for alert, body in zip(alerts, wanted, strict=True)
    }
    told = {
        message.metadata["event_payload"]["id"]
        for message in slack.workspace.messages()
        if message.metadata is not None and message.thread_ts is None
    }
    assert told == {alert["id"] for alert in alerts}


def prepared(name: str, broker: str, topic: str, slack: Any, folder: Path, timers: str) -> tuple[Path, Path]:
    config = configure(
        "sensitive.yaml",
        folder,
        bootstrap=broker,
        slack=slack,
        topics={topic: "binance"},
        files=FILES,
        engine={"ticks": timers},
        checkpoint={"every": "1s"},
        name=name,
    )
    return config, folder / f"{name}.db"


@pytest.mark.long  # the one below shows it in few kills
@pytest.mark.timeout(900)
def test_twenty_kills_change_nothing(broker: str, topic_factory: Any, slack: Any, tmp_path: Path) -> None:
    topic = topic_factory("market", 2)
    config, store = prepared("killed", broker, topic, slack, tmp_path, "off")
    killer = run_with_kills(config, store, broker, topic, slack, 20)
    assert {"mid-post", "mid-checkpoint", "mid-commit"} <= set(killer.phases)
    killed = bodies(store)
    assert_all_delivered(slack, sent(store, "ops"))

    records = records_in(broker, topic)
    calm_config, calm_store = prepared("calm", broker, topic, slack, tmp_path, "off")
    with Daemon(calm_config) as calm:
        calm.wait_until(lambda: consumed(calm_store) == records, "everything consumed")
        assert calm.stop() == 0, calm.output()[-3000:]
    assert killed == bodies(calm_store)
    killed_alerts, killed_scores = recorded_and_folded(config)
    calm_alerts, calm_scores = recorded_and_folded(calm_config)
    assert sorted_lines(killed_alerts) == sorted_lines(calm_alerts) == killed
    assert filecmp.cmp(killed_scores, calm_scores, shallow=False)


@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.long)])
def test_kills_with_timers_equal_a_fold_of_the_runs_own_journal(
    kills: int, broker: str, topic_factory: Any, slack: Any, tmp_path: Path
) -> None:
    """Alerts, bodies, scores in their reasons, and every array that the last process left."""
    topic = topic_factory("market", 2)
    config, store = prepared("timers", broker, topic, slack, tmp_path, "1s")
    run_with_kills(config, store, broker, topic, slack, kills)
    assert_all_delivered(slack, sent(store, "ops"))
    recording = config.with_suffix(".jsonl.zst")
    tapewatch("record", "-c", config, "-o", recording)
    plan = compile_plan(load(config))
    again = refolded(plan, recording)
    assert again.told == told_by(store)
    left = left_states(plan, store, store.with_name(store.name + ".checkpoints"))
    assert sum(len(state.arrays) for state in left.values()) > 20
    assert differences(left, again.states) == []
