"""The daemon and a damaged batch, a bomb, a missing codec: each is told, and nothing else stops."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker.damaging import batches_in, flip, new_topic, producing, segment_of
from broker.local import LocalBroker
from daemon import Daemon, tapewatch
from fakes.slack import FakeSlack

T0_MS = 1_723_118_400_000
BOMB = b" " * 60_000_000


def trade(number: int, size: float = 1.0) -> bytes:
    event = {
        "event_type": "trade",
        "symbol": "BTC",
        "ts_event": (T0_MS + number * 1000) * 10**6,
        "price": 100.0,
        "size": size,
    }
    return json.dumps(event).encode()


def configured(folder: Path, broker: LocalBroker, slack: FakeSlack, **kafka: Any) -> Path:
    path = folder / "tapewatch.yaml"
    document = {
        "source": {
            "kafka": {"bootstrap": broker.bootstrap, "group": folder.name, "start": "earliest", **kafka},
            "topics": [{"match": "t.*", "format": "tapewatch", "venue": "here"}],
        },
        "store": str(folder / "tapewatch.db"),
        "rules": {"big": {"when": "size > 50", "severity": "warning"}},
        "receivers": {
            "ops": {"webhook": {"url": slack.webhook_url("ops"), "secret": {"env": "OPS_WEBHOOK_SECRET"}}}
        },
        "route": {"to": ["ops"]},
        "serve": {"address": "off"},
    }
    path.write_text(json.dumps(document))
    return path


def bodies(slack: FakeSlack) -> list[dict[str, Any]]:
    return [json.loads(post.body) for post in list(slack.received) if post.method == "webhook/ops"]


def transitions(slack: FakeSlack, rule: str) -> set[tuple[str, int]]:
    return {(body["id"], body["number"]) for body in bodies(slack) if body["rule"] == rule}


def told(slack: FakeSlack, rule: str, part: str = "") -> Callable[[], bool]:
    return lambda: any(body["rule"] == rule and part in json.dumps(body) for body in bodies(slack))


def send(broker: LocalBroker, topic: str, *batches: list[bytes], codec: str | None = None) -> None:
    with producing(broker, codec) as producer:
        for batch in batches:
            for value in batch:
                producer.send(topic, value)
            producer.flush(30)


@pytest.mark.parametrize("raw", [True, pytest.param(False, marks=pytest.mark.long)])
def test_damage_and_a_bomb_are_told_and_passed(
    own_broker: Callable[..., LocalBroker], slack: FakeSlack, tmp_path: Path, raw: bool
) -> None:
    broker = own_broker()
    flipped, bomb, sound = (new_topic(broker, f"t.{name}") for name in ("flipped", "bomb", "sound"))
    send(broker, flipped, [trade(0), trade(1)], [trade(2), trade(3)], [trade(4, 99.0)])
    flip(segment_of(broker, flipped), batches_in(segment_of(broker, flipped))[1][0] + 70)
    send(broker, bomb, [trade(0)], [BOMB], [trade(2, 98.0)], codec="gzip")
    send(broker, sound, [trade(0, 97.0)])
    config = configured(tmp_path, broker, slack, raw=raw, max_unpacked_bytes=16_777_216)
    checked = tapewatch("check", "-c", config, expect=1)
    assert "t.flipped[0] cannot be read from offset 2 on" in checked.stderr + checked.stdout
    with Daemon(config) as daemon:
        for part in ("t.flipped[0] is damaged: offsets 2 to 3", "t.bomb[0] is damaged: offsets 1 to 1"):
            daemon.wait_until(told(slack, "damaged_range", part), part, 120)
        for topic in (flipped, bomb, sound):
            daemon.wait_until(told(slack, "big", topic), f"an alert of {topic}", 120)
        daemon.kill()
        daemon.start()
        before = transitions(slack, "big")
        send(broker, flipped, [trade(100, 96.0)])  # long enough after the last to be told
        daemon.wait_until(lambda: transitions(slack, "big") > before, "one more", 120)
        assert daemon.stop() == 0
    letters = tapewatch(
        "dead-letters", "-c", config, "--reason", "damaged_range", "--json"
    ).stdout.splitlines()
    found = sorted((one["topic"], one["offset"], one["last_offset"]) for one in map(json.loads, letters))
    assert found == [(bomb, 1, 1), (flipped, 2, 3)]


@pytest.mark.parametrize(
    "codec", ["lz4", *(pytest.param(codec, marks=pytest.mark.long) for codec in ("snappy", "zstd"))]
)
def test_a_missing_codec_pauses_its_partition_until_it_is_installed(
    own_broker: Callable[..., LocalBroker],
    slack: FakeSlack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    broker = own_broker()
    packed, sound = new_topic(broker, "t.packed"), new_topic(broker, "t.sound")
    send(broker, packed, [trade(0), trade(1, 99.0), *[trade(number) for number in range(2, 40)]], codec=codec)
    send(broker, sound, [trade(0, 97.0)])
    config = configured(tmp_path, broker, slack)
    library = {"lz4": "lz4", "snappy": "snappy", "zstd": "zstandard"}[codec]
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / f"{library}.py").write_text("raise ImportError('not installed')\n")
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{shim}:{path}" if path else str(shim))
    package = {"lz4": "lz4", "snappy": "python-snappy", "zstd": "zstandard"}[codec]
    with Daemon(config, from_nothing=True) as daemon:
        daemon.wait_until(told(slack, "partition_paused", f"Pip install {package}"), "the pause", 90)
        daemon.wait_until(told(slack, "big", sound), "an alert of the other topic", 120)
        assert not told(slack, "big", packed)()
        assert daemon.stop() == 0
    (shim / f"{library}.py").unlink()
    with Daemon(config) as daemon:
        daemon.wait_until(told(slack, "big", packed), "an alert of what was waiting", 120)
        assert daemon.stop() == 0
    assert not told(slack, "damaged_range")()
