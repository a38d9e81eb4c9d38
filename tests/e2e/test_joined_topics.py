"""Three joined topics give what one topic would that has all their records, killed and taken away or not."""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from broker.watching import Reading, Watcher
from daemon import Daemon, tapewatch
from stores import ask, bodies
from three_topics import (
    TOPICS,
    MergedSource,
    Partitions,
    exchange,
    keyed_alike,
    keyed_differently,
    merged_topic,
    send_to,
)

from streamer.app.replay import replay
from streamer.config.load import load
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.runner_context import StepResult

PARTITIONS = 3
DOCUMENT = {
    "detectors": {
        "tape": {
            "model": "HalfSpaceTrees",
            "on": "trade",
            "features": ["return_bps_10s", "log_notional_10s", "trade_rate_10s"],
            "params": {"n_trees": 5, "height": 6, "window_size": 20, "seed": 7},
        },
        "pressure": {"model": "RobustZ", "on": "trade", "features": ["order_rate_10s", "spread_bps"]},
    },
    "rules": {
        "big_while_busy": {"when": "size > 4 * size_mean_1h and order_rate_10s > 1", "clear": "5s"},
        "off_market": {"when": "abs(trade_to_mid_bps) > 1bps", "clear": "5s"},
        "odd": {"when": "tape.rarity > 1m", "clear": "5s", "severity": "info"},
        "pressed": {"when": "pressure.rarity > 2m and spread_bps > 0", "for": "2 of 3", "clear": "10s"},
    },
    "drift": {"watch": ["spread_bps", "tape.score"]},
    "engine": {"ticks": "off", "batch_size": 500},
    "journal": {"keep": "all"},
    "checkpoint": {"every": "1s"},
    "serve": {"address": "off"},
    "late_after": "1000d",
}


def configured(
    broker: str, topics: Mapping[str, str], folder: Path, *, alike: bool, wait: str = "500ms"
) -> Path:
    """The merged topic is among those that are matched, so that what is detected is the same."""
    names = [topics[name] for name in TOPICS]
    document = {
        "source": {
            "kafka": {
                "bootstrap": broker,
                "group": folder.name,
                "start": "earliest",
                "session_timeout": "6s",
            },
            "topics": [{"match": [*names, "merged*"]}],
            "join": names if alike else {"topics": names, "partitions": "all"},
            "join_wait": wait,
        },
        "store": str(folder / "tapewatch.db"),
        "receivers": {"kept": {"file": {"path": str(folder / "kept.jsonl")}}},
        **DOCUMENT,
    }
    path = folder / "tapewatch.yaml"
    path.write_text(json.dumps(document))
    return path


def without_place(alert: Mapping[str, Any]) -> str:
    """An alert but for what tells where its event lay: a drift of a log is told with the log's name."""
    kept = {key: alert[key] for key in sorted(alert) if key not in ("id", "source")}
    if alert["symbol"] is None:
        kept["text"] = alert["text"].partition(": ")[2]
    return json.dumps(kept)


Score = tuple[str, ...]
_PLACE = ("topic", "partition", "offset", "index")


def folded(config: Path, merged: Partitions) -> tuple[list[str], list[Score]]:
    """The alerts and scores of the merged topic."""
    alerts: list[str] = []
    scores: list[Score] = []

    def watch(step: StepResult) -> None:
        alerts.extend(without_place(json.loads(each.body)) for each in step.outcome.transitions)
        for part in step.outcome.scores:
            instruments = [part.instruments[code] for code in part.instrument.tolist()]
            columns = (part.ts, part.score, part.rarity)
            for (venue, symbol), *values in zip(instruments, *(c.tolist() for c in columns), strict=True):
                scores.append((part.detector, venue, symbol, *map(repr, values)))

    replay(compile_plan(load(config)), MergedSource(merged), batch_size=700, watch=watch)
    return sorted(alerts), sorted(scores)


def recorded_scores(config: Path) -> list[Score]:
    """The scores of a run, from its own recording."""
    recording, written = config.with_suffix(".rec.jsonl.zst"), config.with_suffix(".scores.csv")
    tapewatch("record", "-c", config, "-o", recording, timeout_s=600)
    tapewatch("replay", "-q", "-c", config, recording, "--scores", written, timeout_s=600)
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))

    def number(text: str) -> str:
        return repr(float(text)) if text else "nan"

    return sorted(
        (
            row["detector"],
            row["venue"],
            row["symbol"],
            row["ts_event_ns"],
            number(row["score"]),
            number(row["rarity_s"]),
        )
        for row in rows
    )


class Rival:
    """A second member of the group: it takes logs away, folds nothing of them, and gives them back."""

    def __init__(self, config: Path, patience_s: float) -> None:
        settings = load(config).settings.source
        assert settings.kafka is not None
        self._patience_s = patience_s
        self._kafka = settings.kafka.model_copy(update={"instance": "rival"})
        self._join = settings.join
        self.took = 0

    def take_once(self) -> None:
        with Reading(self._kafka, watcher=Watcher(), join=self._join) as reading:
            give_up = time.monotonic() + self._patience_s
            while not reading.held and time.monotonic() < give_up:
                reading.source.poll(0.05)
            self.took += bool(reading.held)
        time.sleep(7)  # its session ends


def parts_of(partitions: Partitions, part: int, parts: int) -> Partitions:
    return {
        number: records[len(records) * part // parts : len(records) * (part + 1) // parts]
        for number, records in partitions.items()
    }


def run_with_faults(
    config: Path, faults: Sequence[bool], publish_part: Callable[[int], None], rival: Rival, count: int
) -> None:
    """One fault after each part: a kill at any moment of a start or a run, or logs that are taken away."""
    moments, starts = random.Random(5), 1
    publish_part(0)
    with Daemon(config) as daemon:
        for number, is_taken in enumerate(faults):
            daemon.wait_until(lambda least=starts: daemon.output().count(" running ") >= least, "a start")
            if number:
                publish_part(number)
            if is_taken:
                rival.take_once()
                continue
            time.sleep(moments.uniform(0, 1.5))
            daemon.kill()
            daemon.start()
            starts += 1
        daemon.wait_until(lambda: daemon.output().count(" running ") >= starts, "the last start")
        daemon.wait_until(lambda: read(config.with_suffix(".db")) == count, "everything consumed", 600)
        assert daemon.stop() == 0, daemon.output()[-3000:]
        assert "Traceback" not in daemon.output()


@pytest.mark.timeout(6_000)
@pytest.mark.parametrize("alike", [True, False], ids=["alike", "differently"])
@pytest.mark.parametrize(
    ("count", "kills", "takes"), [(16_000, 1, 1), pytest.param(500_000, 30, 10, marks=pytest.mark.long)]
)
def test_the_joined_run_equals_a_fold_of_the_merged_topic(
    count: int, kills: int, takes: int, alike: bool, broker: str, topic_factory: Any, tmp_path: Path
) -> None:
    """What is sent comes in parts, and topic by topic: logs wait for the rest, and are killed meanwhile."""
    records = exchange(count)
    placed = keyed_alike(records, PARTITIONS) if alike else keyed_differently(records)
    topics = {name: topic_factory(name, len(placed[name]), {"retention.ms": "-1"}) for name in TOPICS}
    config = configured(broker, topics, tmp_path, alike=alike, wait="500ms" if kills == 1 else "3m")
    store, rival = tmp_path / "tapewatch.db", Rival(config, 60 if alike else 10)
    alerts, scores = folded(config, merged_topic(placed, alike=alike))
    faults = [*([False] * kills), *([True] * takes)]
    random.Random(5).shuffle(faults)
    parts = 1 if kills == 1 else len(faults)

    def publish_part(number: int) -> None:
        for name in TOPICS if number < parts else ():
            send_to(broker, topics[name], parts_of(placed[name], number, parts))

    run_with_faults(config, faults, publish_part, rival, count)
    assert rival.took == takes or not alike, "one log is not shared"
    told = sorted(without_place(json.loads(body)) for body in bodies(store))
    assert len({alert["rule"] for alert in map(json.loads, bodies(store))}) >= 3
    assert told == alerts
    assert recorded_scores(config) == scores
    assert {json.loads(body)["source"]["topic"] for body in bodies(store)} <= set(topics.values())


def read(store: Path) -> int:
    """How many records the newest checkpoints have, over all members."""
    newest = "SELECT max(seq) FROM checkpoints n WHERE n.task_id = c.task_id"
    rows = ask(store, f"SELECT positions FROM checkpoints c WHERE seq = ({newest})")
    return sum(sum(json.loads(positions)) for (positions,) in rows)
