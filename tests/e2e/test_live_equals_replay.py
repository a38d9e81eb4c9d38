"""Show c: what ran live is folded again from a recording, to the same bytes, whatever the batch sizes."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path
from typing import Any

import pytest
from captured import FILES, Captures, captures_in_length
from daemon import Daemon, configure, tapewatch
from heard import assert_delivered
from stores import ask, bodies, consumed, sent, sorted_lines, undelivered

IN_SOURCE_AND_ID = ("id", "source")


@pytest.mark.parametrize("captures", captures_in_length())
def test_live_run_replay_and_recording_agree(
    captures: Captures, broker: str, topic_factory: Any, slack: Any, tmp_path: Path
) -> None:
    spot, perp = topic_factory("spot", 4), topic_factory("perp", 2)
    config = configure(
        "sensitive.yaml",
        tmp_path,
        bootstrap=broker,
        slack=slack,
        topics={spot: "binance", perp: "binance-perp"},
        files=FILES,
        checkpoint={"every": "1s"},
    )
    store = tmp_path / "tapewatch.db"
    tapewatch("publish", "-c", config, "--topic", spot, *captures.spot)
    tapewatch("publish", "-c", config, "--topic", perp, *captures.perp)
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: consumed(store) == captures.records, "everything consumed")
        daemon.wait_until(lambda: undelivered(store) == 0, "everything delivered")
        assert daemon.stop() == 0, daemon.output()[-3000:]
    live = bodies(store)
    fired = [body for body in live if json.loads(body)["transition"] == "fired"]
    assert len(fired) >= captures.sensitive_at_least
    assert {json.loads(body)["venue"] for body in fired} == {"binance", "binance-perp"}
    assert_delivered([json.loads(body) for body in sent(store, "ops")], slack)
    assert len(ask(store, "SELECT DISTINCT topic, partition FROM tasks")) == 6
    assert ask(store, "SELECT count(*) FROM dead_letters") == [(0,)]
    assert "Traceback" not in daemon.output()

    recording = tmp_path / "recorded.jsonl.zst"
    tapewatch("record", "-c", config, "-o", recording)

    def replayed(name: str, batch_size: int, *options: str) -> tuple[Path, Path]:
        alerts, scores = tmp_path / f"{name}.alerts.jsonl", tmp_path / f"{name}.scores.csv"
        tapewatch(
            "replay", "-q", "-c", config, recording, "--batch-size", str(batch_size),
            "--alerts", alerts, "--scores", scores, *options,
        )  # fmt: skip
        return alerts, scores

    alerts, scores = replayed("first", 500)
    assert sorted_lines(alerts) == live
    assert scores.stat().st_size > 100_000
    others = replayed("large", 5000)
    assert filecmp.cmp(alerts, others[0], shallow=False)
    assert filecmp.cmp(scores, others[1], shallow=False)

    # more sizes, other hash seeds, and a state taken up between batches: tests/pipeline/test_batch_sizes.py
    begun = replayed("begun", 500, "--limit", "1000")
    others = replayed("single", 1, "--limit", "1000")
    assert filecmp.cmp(begun[0], others[0], shallow=False)
    assert filecmp.cmp(begun[1], others[1], shallow=False)


@pytest.mark.parametrize("captures", captures_in_length())
def test_a_file_replayed_equals_a_live_run_of_one_partition(
    captures: Captures, broker: str, topic_factory: Any, slack: Any, tmp_path: Path
) -> None:
    spot = topic_factory("spot", 1)
    config = configure(
        "sensitive.yaml",
        tmp_path,
        bootstrap=broker,
        slack=slack,
        topics={spot: "binance"},
        files=FILES,
        engine={"ticks": "off"},
        checkpoint={"every": "1s"},
    )
    store = tmp_path / "tapewatch.db"
    file = captures.spot[0]
    tapewatch("publish", "-c", config, "--topic", spot, file)
    alerts = tmp_path / "alerts.jsonl"
    tapewatch("replay", "-q", "-c", config, file, "--alerts", alerts)
    from_file = [json.loads(line) for line in alerts.read_bytes().splitlines()]
    assert len(from_file) > 50
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: len(bodies(store)) >= len(from_file), "all alerts")
        assert daemon.stop() == 0, daemon.output()[-3000:]
    live = sorted((json.loads(body) for body in bodies(store)), key=place)
    from_file.sort(key=place)
    assert [place(alert) for alert in live] == [place(alert) for alert in from_file]
    assert [shown(alert) for alert in live] == [shown(alert) for alert in from_file]


def place(alert: dict[str, Any]) -> tuple[Any, ...]:
    return (
        alert["source"]["offset"],
        alert["source"]["index"],
        alert["rule"],
        alert["symbol"],
        alert["number"],
    )


def shown(alert: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in alert.items() if name not in IN_SOURCE_AND_ID}
