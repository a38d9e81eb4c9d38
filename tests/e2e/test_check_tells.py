"""`tapewatch check` against a broker, a Slack and webhooks that fail in all ways, and `tapewatch try`."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broker.watching import Reading
from daemon import tapewatch
from fakes.certificates import Authority
from fakes.raw_server import raw_server
from fakes.slack import FakeSlack, refuse

from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.publisher import Outgoing, PublishTarget, publish

NOW_NS = time.time_ns()


def event(kind: str, n: int, **fields: Any) -> bytes:
    document = {"event_type": kind, "venue": "xex", "symbol": "ACME", "ts_event": NOW_NS + n, **fields}
    return json.dumps(document).encode()


def trades(count: int) -> list[bytes]:
    return [event("trade", n, price=99.9 + n % 14 / 10, size=1.0) for n in range(count)]


def orders(count: int) -> list[bytes]:
    own = {"order_id": "1", "action": "new", "side": "buy", "size": 1.0, "price": 100.0}
    return [event("order", n, **own) for n in range(count)]


def own(count: int, scale: int = 10**6) -> list[bytes]:
    return [
        json.dumps({"s": "ACME", "t": NOW_NS // scale, "px": 100.0, "qty": 1.0}).encode()
        for _ in range(count)
    ]


def mapping(price: str = "px", unit: str = "ms") -> dict[str, Any]:
    return {
        "event_type": "trade",
        "symbol": "s",
        "venue": {"constant": "xex"},
        "ts_event": {"path": "t", "unit": unit},
        "trade": {"price": price, "size": "qty"},
    }


@pytest.fixture
def world(broker: str, slack: FakeSlack, topic_factory: Any, tmp_path: Path) -> Iterator[Any]:
    def fill(name: str, values: list[bytes], partitions: int = 1) -> str:
        topic: str = topic_factory(name, partitions, {"retention.ms": "-1"})
        target = PublishTarget(KafkaSettings(bootstrap=broker), topic)
        publish([Outgoing(NOW_NS, None, value, (), n % partitions) for n, value in enumerate(values)], target)
        return topic

    def check(
        topics: dict[str, Any],
        receivers: dict[str, Any] | None = None,
        rules: dict[str, Any] | None = None,
        expect: int = 0,
        join: Any = None,
        **more: Any,
    ) -> str:
        document = {
            "source": {
                "kafka": {"bootstrap": broker, "group": tmp_path.name},
                "topics": [{"match": match, "format": form} for match, form in topics.items()],
                **({} if join is None else {"join": join}),
            },
            "store": str(tmp_path / "tapewatch.db"),
            "rules": rules or {"big": {"when": "size > 50"}},
            "receivers": receivers or {"screen": {"console": None}},
            "route": {"to": list(receivers or {"screen": None})},
            **more,
        }
        path = tmp_path / "tapewatch.yaml"
        path.write_text(json.dumps(document))
        done = tapewatch("check", "-c", path, expect=expect)
        if "SHOW" in os.environ:
            print(f"\n$ tapewatch check\n{done.stdout}{done.stderr}")
        return " ".join((done.stdout + done.stderr).split())

    yield fill, check
    assert not [received for received in slack.received if "chat." in received.method], "nothing is posted"


def desk(slack: FakeSlack, channel: str = "#trading-desk") -> dict[str, Any]:
    return {"slack": {"channel": channel, "token": {"env": "SLACK_BOT_TOKEN"}, "api_url": slack.api_url}}


def hook(url: str, **more: Any) -> dict[str, Any]:
    return {"webhook": {"url": url, "secret": {"env": "OPS_WEBHOOK_SECRET"}, **more}}


def test_receivers_that_could_not_deliver_fail_the_check(
    world: Any, slack: FakeSlack, tmp_path: Path
) -> None:
    fill, check = world
    topic = fill("t", trades(5))
    slack.workspace.channels["risk"] = "C0000000077"
    slack.workspace.outside.add("risk")
    with (
        socket.socket() as taken,
        raw_server(lambda connection: None, Authority(tmp_path).issue("server").context()) as server,
    ):
        taken.bind(("127.0.0.1", 0))
        dead = f"https://127.0.0.1:{taken.getsockname()[1]}/x"
        shown = check(
            {topic: "tapewatch"},
            {
                "desk": desk(slack),
                "risk": desk(slack, "#risk"),
                "ops": hook(dead),
                "audit": hook(f"https://127.0.0.1:{server.port}/x"),
                "fine": hook(slack.webhook_url("ops")),
            },
            expect=1,
        )
    assert "desk slack ok @tapewatch (Test) in #trading-desk" in shown
    assert "invite the bot: /invite @tapewatch, then `tapewatch alerts --retry-parked risk`" in shown
    assert "unreachable: connection refused: check host and port, and that the server runs" in shown
    assert "certificate verify failed" in shown
    assert "fine webhook ok connected to 127.0.0.1" in shown
    slack.script("auth.test", refuse("token_revoked"))
    revoked = check({topic: "tapewatch"}, {"desk": desk(slack)}, expect=1)
    assert "desk slack FAILED token_revoked: the token was revoked: install the app" in revoked
    assert "receivers.desk" in revoked


def test_a_sample_of_each_topic_is_decoded(world: Any) -> None:
    fill, check = world
    mixed = trades(300) + orders(20) + [event("status", 1, state="trading")] * 3
    good, empty, wrong = fill("good", mixed, 3), fill("empty", [], 2), fill("wrong", own(9))
    unit = fill("unit", own(9, 10**9))
    shown = check({good: "tapewatch", empty: "tapewatch"})
    assert f"{good} 3 ok 200 of 200 are events; price 99.9 to 101.2; 3 kinds (trade, order, status)" in shown
    assert f"{empty} 2 ok empty" in shown
    failed = check({wrong: mapping(price="price"), unit: mapping()}, expect=1)
    assert f"0 of 9 are events first mistake: {wrong}[0] offset 0: missing_field: price is missing" in failed
    assert "the record has s, t, px, qty" in failed
    assert "wrong_unit: event times are of 1970-01-21" in failed
    assert "set unit s for `ts_event`" in failed
    assert f"{good} 3 ok" in check({good: "tapewatch", "no-such": "tapewatch"}, expect=1)
    assert "source" not in failed.split("FAILED")[0].split("OK")[1], "a table, then the place in the file"


def test_rules_that_warm_and_those_that_never_can(world: Any) -> None:
    fill, check = world
    first, second = fill("xex.trades", trades(20)), fill("xex.orders", orders(20))
    rules = {
        "busy": {"when": "volume_1h > 5000"},
        "apart": {"when": "size > 9 and order_rate_10s > 5", "on": "trade"},
    }
    shown = check({first: "tapewatch", second: "tapewatch"}, rules=rules)
    assert "busy warming, 1h left" in shown
    assert f"apart inactive size ({first}) and order_rate_10s ({second}) never meet; join:" in shown


def test_joins_and_what_is_not_joined(world: Any, broker: str) -> None:
    fill, check = world
    first, second, third = fill("t", trades(20)), fill("o", orders(20)), fill("s", orders(8), 2)
    topics = {first: "tapewatch", second: "tapewatch"}
    rules = {"apart": {"when": "size > 9 and order_rate_10s > 5", "on": "trade"}}
    alone = check(topics, rules=rules)
    assert f"source.join: ACME of xex is in {first}[0] and in {second}[0]: what is known" in alone
    assert f"Write join: [{first}, {second}] below source, which makes one log of them" in alone
    joined = check(topics, rules=rules, join=[first, second])
    assert f"{first}+{second} {first}+{second}[0], of 2 partitions" in joined
    assert "keep joined partitions together by the cooperative assignor tapewatch-join-" in joined
    assert "warning" not in joined
    assert "never meet" not in joined
    three = {**topics, third: "tapewatch"}
    uneven = check(three, rules=rules, join=[first, second, third])
    assert f"2 logs: {first}+{second}+{third}[0], {third}[1]" in uneven
    assert f"{first} has 1 partition, {second} 1 and {third} 2, so an instrument may be in" in uneven
    assert f"Write join: {{topics: [{first}, {second}, {third}], partitions: all}} below source" in uneven
    whole = check(three, rules=rules, join={"topics": [first, second, third], "partitions": "all"})
    assert f"{first}+{second}+{third}[*], of 4 partitions" in whole
    assert "warning" not in whole
    missing = check(topics, rules=rules, join=[first, f"{second}x"], expect=2)
    assert f"no entry of source.topics or source.files reads '{second}x'" in missing


def test_a_group_that_works_by_another_assignor_is_told(world: Any, broker: str, tmp_path: Path) -> None:
    fill, check = world
    first, second = fill("t", trades(5)), fill("o", orders(5))
    topics, both = {first: "tapewatch", second: "tapewatch"}, (first, second)
    settings = KafkaSettings(bootstrap=broker, group=tmp_path.name)
    with Reading(settings, *both) as reading:
        reading.until_assigned(2)
        told = check(topics, join=list(both))
        assert (
            f"group {tmp_path.name}, of 1 member now, assigns partitions by cooperative-sticky, and" in told
        )
        assert "stop all members, then start them" in told
    with Reading(settings, *both, join=both) as reading:
        reading.until_assigned(2)
        assert "stop all members" not in check(topics, join=list(both))
        assert "by cooperative-sticky: stop all members, then start them" in check(topics)


def _not_found(connection: socket.socket) -> None:
    if connection.recv(65_536):
        connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")


def test_try_sends_a_marked_message_and_says_what_was_answered(slack: FakeSlack, tmp_path: Path) -> None:
    path = tmp_path / "tapewatch.yaml"
    slack.workspace.channels["risk"] = "C0000000077"
    slack.workspace.outside.add("risk")
    receivers = {
        "desk": desk(slack),
        "risk": desk(slack, "#risk"),
        "ops": hook(slack.webhook_url("ops")),
        "lines": {"file": {"path": str(tmp_path / "alerts.jsonl")}},
        "dead": hook("http://127.0.0.1:1/x"),
    }
    receivers["desk"]["slack"]["mention"] = "@here"
    source = {"files": [{"match": "*", "format": "tapewatch"}]}
    store = str(tmp_path / "tapewatch.db")
    path.write_text(json.dumps({"source": source, "receivers": receivers, "store": store}))
    sent = tapewatch("try", "desk", "-c", path)
    (message,) = slack.workspace.messages()
    assert f"https://test.slack.com/archives/{message.channel}/p{message.ts}" in sent.stdout
    assert "TEST, nothing has happened" in message.text
    assert "@here" not in json.dumps(message.blocks)
    tapewatch("try", "desk", "-c", path, "--severity", "critical")
    assert "!here" in json.dumps(slack.workspace.messages()[1].blocks)
    assert "answered 200" in tapewatch("try", "ops", "-c", path).stdout
    assert "alerts.jsonl" in tapewatch("try", "lines", "-c", path).stdout
    assert json.loads((tmp_path / "alerts.jsonl").read_text())["rule"] == "test_message"
    assert not (tmp_path / "tapewatch.db").exists()
    uninvited = tapewatch("try", "risk", "-c", path, expect=1).stderr
    assert "not_in_channel: the bot is not in #risk: invite the bot: /invite @tapewatch" in uninvited
    assert "connection refused: check host and port" in tapewatch("try", "dead", "-c", path, expect=1).stderr
    with raw_server(_not_found) as server:
        path.write_text(
            json.dumps({"source": source, "receivers": {"gone": hook(f"http://127.0.0.1:{server.port}/x")}})
        )
        gone = tapewatch("try", "gone", "-c", path, expect=1).stderr
    assert "receivers.gone.webhook.url: http_404: nothing is there: check the path" in gone
    path.write_text(json.dumps({"source": source, "receivers": receivers, "store": store}))
    assert "did you mean 'desk'" in tapewatch("try", "dsek", "-c", path, expect=2).stderr
    assert "did you mean 'critical'" in tapewatch("try", "desk", "-s", "critcal", "-c", path, expect=2).stderr
