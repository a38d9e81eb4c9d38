"""Ten thousand alerts in a minute, at receivers with the cap that everybody has who does not name another.

Two thousand instruments go mad within one minute of event time, and five rules fire on each. They are
published a little faster than they happened (in 50 s), so that the storm is over within the cap's first
minute. That is a real one: the cap goes by the machine's own clock, which nobody can be handed, and the
process under test is the real one. The test waits for nearly all of its 65 s. Storms over several windows,
restarts and outages within one, with windows of 1.5 s, are in tests/alerts/test_caps.py.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, alerts_of, configure, edited
from fakes.slack import Received
from stores import ask, undelivered

from alerts.stages.cap import MINUTE_S
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, SendPace, publish

CAP = 20
INSTRUMENTS, RULES = 2_000, 5
STORM = INSTRUMENTS * RULES
SPEED = 1.2
T0_NS = 1_723_161_600_000_000_000
MINUTE_NS = 60 * 10**9


def storm() -> list[Outgoing]:
    """One trade of each instrument, evenly over a minute."""
    records = []
    for number in range(INSTRUMENTS):
        ts = T0_NS + number * MINUTE_NS // INSTRUMENTS
        value = {"event_type": "trade", "symbol": f"S{number:04d}", "ts_event": ts, "price": 100, "size": 1}
        records.append(Outgoing(ts, None, json.dumps(value).encode()))
    return records


@pytest.fixture
def running(broker: str, topic_factory: Any, slack: Any, tmp_path: Path) -> Any:
    topic = topic_factory("storm", 1)
    rules = {f"rule_{number}": {"when": f"price > {number}", "clear": "1h"} for number in range(RULES)}
    config = configure(
        "binance.yaml",
        tmp_path,
        bootstrap=broker,
        slack=slack,
        topics={topic: "sim"},
        rules=rules,
        route={"to": ["desk", "ops"]},
    )

    def adapt(document: Any) -> None:
        document["source"]["topics"][0]["format"] = "tapewatch"

    edited(config, adapt)
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: "running" in daemon.output(), "a start")
        yield config, daemon, topic


def most_in_a_minute(received: list[Received]) -> int:
    """The most messages in any minute, wherever it begins; half a second is for the way here."""
    times = [each.monotonic for each in received]
    return max(sum(first <= at < first + MINUTE_S - 0.5 for at in times) for first in times)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_thousand_alerts_in_a_minute(running: Any, broker: str, slack: Any) -> None:
    config, daemon, topic = running
    store = config.with_suffix(".db")
    publish(storm(), PublishTarget(KafkaSettings(bootstrap=broker), topic), SendPace(speed=SPEED))
    raised = "SELECT count(*) FROM outbox WHERE origin = 'detect'"
    daemon.wait_until(lambda: ask(store, raised) == [(STORM,)], "all of them in the store")
    daemon.wait_until(lambda: undelivered(store) == 0, "nothing left to say", 90)
    assert daemon.stop() == 0, daemon.output()[-3000:]

    at_ops = slack.of("webhook/ops")
    posts = slack.of("chat.postMessage")
    assert CAP <= len(at_ops) < 3 * CAP
    assert most_in_a_minute(at_ops) <= CAP
    assert most_in_a_minute(posts) <= CAP
    assert told([post.arguments for post in at_ops]) == {f"rule_{n}": INSTRUMENTS for n in range(RULES)}
    for receiver in ("desk", "ops"):
        assert one_by_one(store, receiver) + in_summaries(store, receiver) == STORM
    assert len(posts) == one_by_one(store, "desk") + summaries(store, "desk")

    kept = [alert for alert in alerts_of(config) if alert["origin"] == "detect"]
    assert len({alert["id"] for alert in kept}) == len(kept) == STORM
    times = [alert["ts_event_ns"] for alert in kept]
    assert max(times) - min(times) < MINUTE_NS


def told(messages: list[Any]) -> Counter[str]:
    """How many alerts of each rule a receiver knows of: those it got, and those that summaries count."""
    known: Counter[str] = Counter()
    for message in messages:
        if message["rule"] == "delivery_summary":
            assert sum(message["values"].values()) == message["source"]["count"]
            known.update(message["values"])
        else:
            known[message["rule"]] += 1
    return known


def count(store: Path, what: str, receiver: str) -> int:
    ((found,),) = ask(
        store,
        "SELECT count(*) FROM deliveries JOIN outbox ON outbox.n = deliveries.outbox_n"
        f" WHERE receiver = ? AND {what}",
        receiver,
    )
    return int(found)


def one_by_one(store: Path, receiver: str) -> int:
    return count(store, "origin = 'detect' AND state = 'done'", receiver)


def in_summaries(store: Path, receiver: str) -> int:
    return count(store, "origin = 'detect' AND state = 'summarised'", receiver)


def summaries(store: Path, receiver: str) -> int:
    return count(store, "rule = 'delivery_summary' AND state = 'done'", receiver)
