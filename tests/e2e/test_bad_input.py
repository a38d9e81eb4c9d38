"""Bad input to a command gets one clear line that says what to do, the right exit code, and no traceback."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from captured import COMMITTED, FILES
from daemon import Daemon, configure, edited, tapewatch

FAILED, USAGE = 1, 2
_WENT_WELL = ("preparing", "kernels ready")
CAPTURE = COMMITTED / "spot_btcusdt.gz"


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What went to stderr, without what is said of work that went well."""
    assert "Traceback" not in done.stderr + done.stdout
    lines = [
        line for line in done.stderr.splitlines() if not line.startswith(_WENT_WELL) and "[info" not in line
    ]
    assert len(lines) <= 1, done.stderr
    return lines[0] if lines else ""


def closed_port() -> str:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    for command in (
        ["run"],
        ["check"],
        ["replay", str(CAPTURE)],
        ["alerts"],
        ["why", "ab"],
        ["dead-letters"],
    ):
        done = tapewatch(*command, "-c", tmp_path / "no.yaml", expect=USAGE)
        assert said(done) == f"{tmp_path}/no.yaml: there is no such file"


def test_files_that_cannot_be_replayed(tmp_path: Path) -> None:
    config = configure("binance.yaml", tmp_path, files=FILES)
    empty = tmp_path / "spot_empty.gz"
    empty.write_bytes(b"")
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    cases = (
        (tmp_path / "spot_none.gz", FAILED, "there is no such file"),
        (empty, FAILED, "holds no events"),
        (tmp_path, FAILED, "is a folder"),
        (other, USAGE, "no entry of source.files matches 'other.jsonl'"),
    )
    for path, code, words in cases:
        done = tapewatch("replay", "-q", "-c", config, path, expect=code)
        assert words in said(done), path


def test_a_file_cut_short_is_replayed_up_to_there(tmp_path: Path) -> None:
    config = configure("binance.yaml", tmp_path, files=FILES)
    damaged = tmp_path / "spot_damaged.gz"
    damaged.write_bytes(CAPTURE.read_bytes()[:5000])
    done = tapewatch("replay", "-q", "-c", config, damaged, expect=FAILED)
    assert "307 records" in done.stderr
    assert "it ends too early (at 5,000 of 5,000 bytes, after 307 whole records)" in done.stderr


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    where = closed_port()
    config = configure("binance.yaml", tmp_path, bootstrap=where, topics={"spot.x": "binance"}, files=FILES)
    soon = {"bootstrap_timeout_ms": 1500}  # instead of ten seconds
    edited(config, lambda document: document["source"]["kafka"].update(client=soon))
    for command in (["run", "-c", config], ["publish", "-c", config, "-t", "spot.x", CAPTURE]):
        line = said(tapewatch(*command, expect=FAILED))
        assert where in line
        assert "reach" in line or "answer" in line


def test_a_topic_that_does_not_exist(broker: str, tmp_path: Path) -> None:
    config = configure(
        "binance.yaml", tmp_path, bootstrap=broker, topics={"spot.none": "binance"}, files=FILES
    )
    for command in (["run", "-c", config], ["publish", "-c", config, "-t", "spot.none", CAPTURE]):
        line = said(tapewatch(*command, expect=FAILED))
        assert "topic 'spot.none' does not exist" in line
        assert "create it" in line


def test_secrets_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure(
        "binance.yaml",
        tmp_path,
        receivers={"desk": {"slack": {"channel": "#desk", "token": {"env": "NOT_SET_ANYWHERE"}}}},
        route={"to": ["desk"]},
    )
    line = said(tapewatch("run", "-c", config, expect=USAGE))
    assert line.startswith(f"{config}:")
    assert "environment variable NOT_SET_ANYWHERE is not set" in line


def test_a_secret_of_the_wrong_form(broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAD_SECRET", "whsec_???")
    hook = {"url": "http://127.0.0.1:9/", "secret": {"env": "BAD_SECRET"}}
    config = configure(
        "binance.yaml",
        tmp_path,
        bootstrap=broker,
        receivers={"ops": {"webhook": hook}},
        route={"to": ["ops"]},
    )
    line = said(tapewatch("run", "-c", config, expect=USAGE))
    assert "receivers.ops" in line
    assert "base64" in line
    assert "???" not in line


def test_two_daemons_on_one_store(broker: str, topic_factory: Any, slack: Any, tmp_path: Path) -> None:
    topic = topic_factory("spot", 1)
    config = configure("binance.yaml", tmp_path, bootstrap=broker, slack=slack, topics={topic: "binance"})
    with Daemon(config) as first:
        first.wait_until(lambda: "running" in first.output(), "a start")
        line = said(tapewatch("run", "-c", config, expect=FAILED))
        assert "another tapewatch is running on the store" in line
        assert first.running


def broken_stores() -> dict[str, tuple[Callable[[Path], Any], str]]:
    def newer(path: Path) -> None:
        from streamer.store.database import open_store

        open_store(str(path)).close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")

    return {
        "no-database": (lambda path: path.write_bytes(b"not a database at all" * 500), "is not a store"),
        "newer-version": (newer, "newer tapewatch"),
        "folder": (lambda path: path.mkdir(), "it is a folder; name a file in it"),
        "no-parent": (lambda path: shutil.rmtree(path.parent), "there is no folder"),
    }


@pytest.mark.parametrize("case", broken_stores())
def test_stores_that_cannot_be_used(case: str, broker: str, tmp_path: Path) -> None:
    prepare, words = broken_stores()[case]
    config = configure("binance.yaml", tmp_path, bootstrap=broker)
    store = tmp_path / "below" / "tapewatch.db"
    store.parent.mkdir()
    config.write_text(config.read_text().replace(str(tmp_path / "tapewatch.db"), str(store)))
    prepare(store)
    expected = FAILED if case == "newer-version" else USAGE  # the configuration's fault: no restart mends it
    line = said(tapewatch("run", "-c", config, expect=expected))
    assert words in line
    assert str(store) in line or str(store.parent) in line
    if case == "no-database":
        assert list(store.parent.iterdir()) == [store], "nothing is left beside somebody else's file"


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    config = configure("binance.yaml", tmp_path, files=FILES)
    nowhere = tmp_path / "none" / "out.jsonl"
    for option in ("--alerts", "--scores"):
        done = tapewatch("replay", "-q", "-c", config, CAPTURE, option, nowhere, expect=FAILED)
        assert said(done) == f"cannot write {nowhere}: No such file or directory"


def test_alerts_that_are_not_there(tmp_path: Path) -> None:
    from streamer.store.database import open_store

    store = tmp_path / "tapewatch.db"
    open_store(str(store)).close()
    line = said(tapewatch("why", "abc", "--store", store, expect=FAILED))
    assert line == (
        f"no alert and no near miss 'abc' in {store}; "
        "`tapewatch alerts` lists alerts, with --near-misses what was held back"
    )
    assert "no alerts" in tapewatch("alerts", "--store", store).stdout
    assert "no dead letters" in tapewatch("dead-letters", "--store", store).stdout


@pytest.mark.parametrize(
    "command",
    ["init", "run", "replay", "publish", "record", "check", "alerts", "why", "mute", "dead-letters"],
)
def test_help_teaches_by_example(command: str) -> None:
    shown = tapewatch(command, "--help").stdout
    assert "Example" in shown
    assert f"tapewatch {command}" in shown
