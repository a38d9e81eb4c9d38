"""The real process: backed up at work, restored, its checkpoints lost; nothing is lost, and no id changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from daemon import Daemon, tapewatch
from fakes.slack import FakeSlack
from stores import ask
from test_ended_and_late import Desk, now_ms


class Options(Daemon):
    """Started with more options than the configuration."""

    def __init__(self, config: Path, *options: str) -> None:
        super().__init__(config)
        begin = "import sys; from streamer.cli import main; sys.argv[0] = 'tapewatch'"
        code = f"{begin}; sys.argv += {options!r}; main()"
        self.command = ("-c", code)


@pytest.fixture
def desk(broker: str, tmp_path: Path, slack: FakeSlack) -> Desk:
    return Desk(broker, tmp_path, slack)


def test_backed_up_at_work_and_restored_it_goes_on_with_the_same_ids(
    desk: Desk, topic_factory: Callable[..., str], tmp_path: Path
) -> None:
    topic = topic_factory("restored")
    backup = tmp_path / "backup"
    desk.trade(topic, ["A", "B"], now_ms())
    config = desk.reads(topic)
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 2, "two alerts")
        said = tapewatch("backup", backup, "-c", config)
        assert f"{topic}[0]: read to offset 2" in said.stdout
        refused = tapewatch("restore", backup, "-c", config, "--overwrite", expect=1)
        assert "another tapewatch is running" in refused.stderr
        desk.trade(topic, ["C", "D"], now_ms())
        daemon.wait_until(lambda: len(desk.told("held")) == 4, "two more")
        desk.settled(daemon)
        assert daemon.stop() == 0
    before = {body["id"] for body in desk.told("held")}
    assert "give --overwrite" in tapewatch("restore", backup, "-c", config, expect=1).stderr
    assert (
        f"{topic}[0]: goes on at offset 2" in tapewatch("restore", backup, "-c", config, "--overwrite").stdout
    )
    desk.trade(topic, ["E"], now_ms())
    with Daemon(config) as daemon:
        daemon.wait_until(lambda: len(desk.told("held")) == 5, "the alert that is new")
        daemon.wait_until(lambda: desk.told("store_older"), "that the store is older")
        desk.settled(daemon)
        assert daemon.stop() == 0
    assert before <= {body["id"] for body in desk.told("held")}
    (told,) = desk.told("store_older")
    assert "it was restored from a backup of" in told["text"]
    assert f"{topic}[0] goes on at offset 2, and had been read at least to 4" in told["text"]
    in_doubt = ask(desk.store, "SELECT symbol FROM outbox WHERE doubtful_since IS NOT NULL ORDER BY symbol")
    assert in_doubt == [("C",), ("D",), ("E",)], "all that is in the log may have been read, and sent"

    for path in Path(f"{desk.store}.checkpoints").glob("task*"):
        path.unlink()
    with closing(sqlite3.connect(desk.store)) as connection, connection:
        connection.execute("DELETE FROM journal")  # as where it is cut before the older checkpoint
    failed = tapewatch("run", "-c", config, expect=1)
    assert "start once with `run --fold-again`" in failed.stderr
    desk.trade(topic, ["F"], now_ms())
    with Options(config, "--fold-again") as daemon:
        daemon.wait_until(lambda: any("F is" in body["text"] for body in desk.told("held")), "what is new")
        desk.settled(daemon)
        assert daemon.stop() == 0
    begun = [body["text"][:1] for body in desk.told("held")]
    assert sorted(begun[:5]) == list("ABCDE")
    assert sorted(begun[5:]) == list("ABCDEF"), "what stands is told once under its new id"
    assert len({body["id"] for body in desk.told("held")}) == len(begun)
    assert len(desk.heard("resolved")) == 5, "those of the generation before are told to be over"
    assert len(desk.told("detection_anew")) == 1
    assert json.loads(tapewatch("alerts", "-c", config, "--json", "-n", "1").stdout)
