"""The lines of the systemd unit, taken out of it and run: a broken file refuses a start and a reload."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from captured import FILES
from daemon import SECRETS, Daemon, configure

UNIT = Path(__file__).parents[2] / "deploy" / "tapewatch.service"
PROGRAM = "/opt/tapewatch/bin/tapewatch"


def lines(key: str) -> list[str]:
    """The values of a key, in the order of the unit."""
    return [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{key}=")]


def command(line: str, pid: int = 0) -> list[str]:
    """A line as systemd would run it, with this interpreter in place of the installed program."""
    words = shlex.split(line.replace("$MAINPID", str(pid)))
    return [sys.executable, "-m", "streamer", *words[1:]] if words[0] == PROGRAM else words


def environment(config: Path) -> Mapping[str, str]:
    """What the unit sets, with the test's own file; its working directory is the store's."""
    (said,) = lines("Environment")
    given = dict(pair.split("=", 1) for pair in shlex.split(said))
    assert given["TAPEWATCH_CONFIG"].startswith("/etc/tapewatch/")
    del given["NUMBA_CACHE_DIR"]  # kernels are compiled already where the tests have them
    return {**os.environ, **SECRETS, **given, "TAPEWATCH_CONFIG": str(config)}


def in_order(key: str, config: Path, pid: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a key's lines one after the other, up to the first that fails; the last that was run."""
    for line in lines(key):
        done = subprocess.run(
            command(line, pid),
            env=environment(config),
            cwd=config.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            break
    return done


class Started(Daemon):
    """`ExecStart`, with the environment of the unit."""

    def start(self) -> None:
        (line,) = lines("ExecStart")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command(line), env=environment(self.config), cwd=self.config.parent, stdout=log, stderr=log
            )

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(60)


def events(daemon: Daemon) -> list[str]:
    said = [line for line in daemon.output().splitlines() if line.startswith("{")]
    return [entry["event"] for entry in map(json.loads, said)]


@contextmanager
def broken(config: Path) -> Iterator[None]:
    good = config.read_text()
    config.write_text(good.replace("\nrules:", "\nrule:", 1))
    yield
    config.write_text(good)


@pytest.fixture
def config(broker: str, topic_factory: Any, tmp_path: Path) -> Path:
    return configure(
        "binance.yaml",
        tmp_path,
        bootstrap=broker,
        topics={topic_factory("spot", 1): "binance"},
        files=FILES,
        receivers={"tty": {"console": {}}},
        route={"to": ["tty"]},
        log={"format": "json"},
    )


@pytest.mark.timeout(200)
def test_it_starts_reloads_and_stops_and_a_broken_file_changes_nothing(config: Path) -> None:
    with broken(config):
        refused = in_order("ExecStartPre", config)
        assert refused.returncode == 2
        assert f"{config}:" in refused.stderr
    assert in_order("ExecStartPre", config).returncode == 0
    with Started(config) as daemon:
        daemon.wait_until(lambda: "running" in events(daemon), "running")
        with broken(config):
            assert in_order("ExecReload", config, daemon.pid).returncode == 2
        assert in_order("ExecReload", config, daemon.pid).returncode == 0
        daemon.wait_until(lambda: "reloaded" in events(daemon), "a reload")
        assert "reload refused" not in events(daemon), "the signal was not sent for a broken file"
        assert events(daemon).count("reloaded") == 1
        (limit,) = lines("TimeoutStopSec")
        assert daemon.stop(float(limit)) == 0
    assert "stopping" in events(daemon)


def test_what_is_wrong_with_the_file_is_not_tried_again(config: Path) -> None:
    with broken(config):
        daemon = Started(config)
        daemon.start()
        assert [str(daemon.wait())] == lines("RestartPreventExitStatus")
    assert lines("Restart") == ["on-failure"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
