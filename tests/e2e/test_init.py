"""`tapewatch init`: a look at a real topic, a configuration that works for it, and a manifest for Slack."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from captured import COMMITTED, FILES
from daemon import configure, tapewatch
from fakes.slack import FakeSlack
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from streamer.app.first_config import first_configuration
from streamer.app.preset_sample import inspect_records, inspect_topics
from streamer.config.load import load, load_text
from streamer.errors import TapewatchError
from streamer.messages.records import Record
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish

T0 = 1_767_623_400_000_000_000


def event(kind: str, at: int, symbol: str = "ACME", **fields: Any) -> bytes:
    return json.dumps({"event_type": kind, "symbol": symbol, "ts_event": T0 + at, **fields}).encode()


def trades(count: int, symbol: str = "ACME", **more: Any) -> list[bytes]:
    return [event("trade", at, symbol, price=10.0, size=1.0, **more) for at in range(count)]


def as_records(values: list[bytes | None]) -> list[Record]:
    return [Record(at, value, T0) for at, value in enumerate(values)]


@pytest.fixture
def captured_topic(broker: str, topic_factory: Any, tmp_path: Path) -> str:
    topic: str = topic_factory("spot", 2, {"retention.ms": "-1"})
    source = configure("binance.yaml", tmp_path, bootstrap=broker, files=FILES, name="source")
    files = (COMMITTED / "spot_btcusdt.gz", COMMITTED / "spot_ethusdt.gz")
    tapewatch("publish", "-c", source, "-t", topic, "--limit", "1000", *files)
    return topic


def test_a_captured_topic(broker: str, captured_topic: str, slack: FakeSlack, tmp_path: Path) -> None:
    path = tmp_path / "new" / "mine.yaml"
    path.parent.mkdir()
    arguments = ("init", "binance", "-t", captured_topic, "--bootstrap", broker, "-o", path)
    done = tapewatch(*arguments)
    assert "200 records sampled" in done.stdout
    text = path.read_text()
    assert "# Instruments: binance " in text
    assert "BTCUSDT" in text
    assert "ETHUSDT" in text
    settings = load(path).settings
    (topic,) = settings.source.topics
    assert (topic.match, topic.venue) == (captured_topic, "binance")
    assert settings.source.kafka is not None
    assert settings.source.kafka.bootstrap == broker
    assert set(settings.rules.extends) == {"crypto", "market-data-quality"}
    assert "odd_tape" in settings.rules.enabled
    tapewatch("check", "--offline", "-c", path)
    slack.workspace.channels["tapewatch"] = "C0000000099"
    checked = path.with_name("checked.yaml")
    at_slack = 'channel: "#tapewatch"'
    checked.write_text(text.replace(at_slack, f"{at_slack}, api_url: {slack.api_url}"))
    online = tapewatch("check", "-c", checked).stdout
    assert re.search(rf"{captured_topic} 2 ok \d+ of 200 are events", " ".join(online.split()))
    checked.unlink()

    manifest = YAML(typ="safe").load((path.parent / "slack-app.yaml").read_text())
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    assert {"chat:write", "channels:read", "channels:history"} <= set(scopes)
    assert manifest["settings"]["socket_mode_enabled"] is False

    again = tapewatch(*arguments, expect=2)
    assert f"{path} exists already" in again.stderr
    beside = tapewatch(*arguments[:-1], path.with_name("other.yaml"), expect=2)
    assert "slack-app.yaml exists already" in beside.stderr
    assert path.read_text() == text
    assert sorted(each.name for each in path.parent.iterdir()) == ["mine.yaml", "slack-app.yaml"]


def test_the_wrong_preset_and_topics_that_are_not_there(
    broker: str, captured_topic: str, topic_factory: Any, tmp_path: Path
) -> None:
    path = tmp_path / "new.yaml"
    rest = ("--bootstrap", broker, "-o", path)
    wrong = tapewatch("init", "tapewatch", "-t", captured_topic, *rest, expect=1)
    assert "of 200 records" in wrong.stderr
    assert f"the preset binance reads it: tapewatch init binance --topic {captured_topic}" in wrong.stderr
    gone = tapewatch("init", "binance", "-t", "not.there", *rest, expect=1)
    assert "topic 'not.there' does not exist" in gone.stderr
    assert "did you mean" in tapewatch("init", "binanc", "-t", "x", *rest, expect=2).stderr
    assert "examples/generic.yaml" in tapewatch("init", "generic", "-t", "x", *rest, expect=2).stderr
    nowhere = tapewatch("init", "binance", "-t", "x", "--bootstrap", "127.0.0.1:1", "-o", path, expect=1)
    assert "127.0.0.1:1" in nowhere.stderr
    assert not path.exists()
    empty = topic_factory("empty", 3)
    done = tapewatch("init", "tapewatch", "-t", empty, *rest)
    assert "is empty" in done.stderr
    tapewatch("check", "--offline", "-c", path)


def test_the_newest_of_every_partition_are_looked_at(broker: str, topic_factory: Any, tmp_path: Path) -> None:
    topic = topic_factory("own", 2, {"retention.ms": "-1"})
    sent = [Outgoing(T0, None, value, (), 0) for value in trades(500, "OLD", venue="x")]
    sent += [Outgoing(T0, None, value, (), 0) for value in trades(180, "NEW", venue="x")]
    sent += [Outgoing(T0, None, value, (), 1) for value in trades(30, "OTHER", venue="y")]
    publish(sent, PublishTarget(KafkaSettings(bootstrap=broker), topic))
    path = tmp_path / "new.yaml"
    done = tapewatch("init", "tapewatch", "-t", topic, "--bootstrap", broker, "-o", path)
    assert "200 records sampled: trade 200, 2 instruments" in done.stdout
    assert load(path).settings.source.topics[0].venue is None


def test_sets_go_by_the_fields_that_were_seen() -> None:
    text = configured(trades(5, venue="x"))
    assert load_text(text).settings.rules.extends == ("crypto", "market-data-quality")
    assert "#   spread_blowout: " in text
    quotes: list[bytes | None] = [
        event("quote", at, venue="x", bid_price=1.0, bid_size=1.0, ask_price=2.0, ask_size=1.0)
        for at in range(5)
    ]
    found = load_text(configured(quotes)).settings
    assert not found.detectors
    assert "odd_tape" not in found.rules.enabled
    orders: list[bytes | None] = [
        *trades(2, venue="x"),
        event("order", 1, venue="x", order_id="1", action="new", side="buy", price=1.0, size=1.0),
    ]
    assert "surveillance" in load_text(configured(orders)).settings.rules.extends


def configured(values: list[bytes | None], venue: str | None = None) -> str:
    sample = inspect_records("tapewatch", "t", venue, as_records(values))
    return first_configuration("tapewatch", ["t"], "b:1", sample)


def test_topics_with_the_same_instruments_are_joined() -> None:
    orders = [
        event("order", 1, symbol, venue="x", order_id="1", action="new", side="buy", price=1.0, size=1.0)
        for symbol in ("ACME", "BETA")
    ]
    topics = {
        "t": {0: as_records(trades(3, venue="x")), 1: as_records(trades(3, "BETA", venue="x"))},
        "o": {0: as_records(orders[:1]), 1: as_records(orders[1:])},
        "other": {0: as_records(trades(3, "ELSE", venue="x"))},
    }

    def written() -> str:
        return first_configuration(
            "tapewatch", list(topics), "b:1", inspect_topics("tapewatch", topics, None)
        )

    source = load_text(written()).settings.source
    assert source.topics[0].globs == ("t", "o", "other")
    assert [(join.topics, join.partitions) for join in source.joins] == [(("t", "o"), "each")]
    assert "surveillance" in load_text(written()).settings.rules.extends
    topics["o"] = {0: as_records(orders[1:]), 1: as_records(orders[:1])}
    (differently,) = load_text(written()).settings.source.joins
    assert (differently.topics, differently.partitions) == (("t", "o"), "all")
    topics["other"][1] = topics["other"][0]
    both = load_text(written()).settings.source.joins
    assert [(join.topics, join.partitions) for join in both] == [(("t", "o"), "all"), (("other",), "all")]
    topics |= {"o": {0: []}, "other": {0: []}}
    assert not load_text(written()).settings.source.joins


def test_a_venue_is_given_where_events_name_none() -> None:
    assert 'venue: "main"' in configured([*trades(3)])
    assert 'venue: "XNAS"' in configured([*trades(3)], "XNAS")
    assert "venue" not in configured([*trades(3, venue="x")]).partition("topics:")[2].partition("store:")[0]


def test_what_cannot_be_used_is_counted() -> None:
    text = configured([*trades(3, venue="x"), b"{", b"\xff", None])
    assert "# Cannot be used: " in text
    assert "bad_json 1" in text
    with pytest.raises(TapewatchError, match="none of 2 records of topic 't' is binance"):
        inspect_records("binance", "t", None, as_records([b"{", b"{"]))


@settings(max_examples=15, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_no_symbol_breaks_the_file(symbol: str) -> None:
    try:
        text = configured([*trades(2, symbol, venue="x")])
    except TapewatchError:
        return  # a symbol that the schema does not take
    assert load_text(text).settings.source.topics[0].match == "t"
