"""Show f: junk and strangers between good messages change nothing of what the good ones come to."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from captured import FILES, best_captures
from daemon import Daemon, configure, tapewatch
from stores import ask, consumed

from streamer.sources.files.file_records import FileInput, FileRecords
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish

sys.path.insert(0, str(Path(__file__).parents[1] / "decoding"))
from fuzz import AT_MS, IGNORED, fuzz_messages

_NS_PER_MS = 1_000_000
_BROKER_TAKES = 900_000  # bytes; larger ones never get into a log, and are left to the decoder's own tests
_KEY = b"key"  # Kafka takes no null value without one
_COMPARED = ("venue", "symbol", "ts_event_ns", "detector", "score", "status")


def mixed(path: Path, n_good: int, n_junk: int) -> tuple[list[Outgoing], dict[int, str | None]]:
    """Good records of a capture with junk between them, and what is expected of the junk, by offset."""
    random = Random(11)
    good = [record for _, record in zip(range(n_good), FileRecords(FileInput(path, "ns")), strict=False)]
    junk = (message for message in fuzz_messages(seed=3, n=n_junk + 1_000) if _fits(message.value))
    places = sorted(random.randrange(len(good) + 1) for _ in range(n_junk))
    records: list[Outgoing] = []
    expected: dict[int, str | None] = {}
    at = 0
    for number in range(len(good) + 1):
        while at < n_junk and places[at] == number:
            message = next(junk)
            expected[len(records)] = message.expected
            records.append(Outgoing(AT_MS * _NS_PER_MS, _KEY, message.value))
            at += 1
        if number < len(good):
            records.append(Outgoing(good[number].timestamp, None, good[number].value))
    return records, expected


def _fits(value: bytes | None) -> bool:
    return value is None or len(value) < _BROKER_TAKES


def scores(config: Path, file: Path, out: Path, *options: str) -> list[tuple[str, ...]]:
    tapewatch("replay", "-q", "-c", config, file, "--scores", out, *options)
    with out.open(newline="") as rows:
        return [tuple(row[name] for name in _COMPARED) for row in csv.DictReader(rows)]


@pytest.mark.parametrize(
    ("good", "junk"), [(2_000, 8_000), pytest.param(20_000, 100_000, marks=pytest.mark.long)]
)
def test_good_messages_score_as_without_the_junk(
    good: int, junk: int, broker: str, topic_factory: Any, slack: Any, tmp_path: Path
) -> None:
    captures = best_captures()
    topic = topic_factory("spot", 1)
    config = configure(
        "sensitive.yaml",
        tmp_path,
        bootstrap=broker,
        slack=slack,
        topics={topic: "binance"},
        files=FILES,
        engine={"ticks": "off"},
        checkpoint={"every": "1s"},
    )
    store = tmp_path / "tapewatch.db"
    records, expected = mixed(captures.spot[0], good, junk)
    publish(records, PublishTarget(KafkaSettings(bootstrap=broker), topic))
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: consumed(store) == len(records), "everything consumed")
        assert daemon.running
        assert daemon.stop() == 0, daemon.output()[-3000:]
    assert "Traceback" not in daemon.output()

    assert_dead_letters(store, expected)
    recording = tmp_path / "recorded.jsonl.zst"
    tapewatch("record", "-c", config, "-o", recording)
    among_junk = scores(config, recording, tmp_path / "junk.csv")
    alone = scores(config, captures.spot[0], tmp_path / "alone.csv", "--limit", str(good))
    known = {row[:2] for row in alone}
    assert len(alone) > good / 20
    assert {row[:2] for row in among_junk} > known, "the junk holds well-formed events of strangers"
    assert [row for row in among_junk if row[:2] in known] == alone


def assert_dead_letters(store: Path, expected: dict[int, str | None]) -> None:
    """Each kept one has its reason; those beyond 100 of one in a minute are counted, and alerted once."""
    wanted = Counter(reason for reason in expected.values() if reason not in (None, IGNORED))
    kept = dict(ask(store, "SELECT offset, reason FROM dead_letters"))
    for offset, reason in kept.items():
        assert expected[offset] == reason, offset
    counted = Counter(kept.values())
    floods = ask(store, "SELECT reason, first_offset, last_offset, count FROM dead_letter_floods")
    for reason, first, last, count in floods:
        beyond = [at for at, found in expected.items() if found == reason and first <= at <= last]
        assert len(beyond) == count, reason
        counted[reason] += count
    assert counted == wanted
    in_a_minute = ask(store, "SELECT reason, minute, COUNT(*) FROM dead_letters GROUP BY 1, 2")
    assert all(count <= 100 for _, _, count in in_a_minute)
    assert all(count >= min(wanted[reason], 100) for reason, count in Counter(kept.values()).items())
    told = ask(store, "SELECT body FROM outbox WHERE origin = 'service' AND rule = 'dead_letter_flood'")
    assert len(told) == len(floods) > 0
