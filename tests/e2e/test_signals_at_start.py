"""Signals that come while the daemon starts: on the real process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from captured import FILES
from daemon import Daemon, configure

HUP, TERM = (1 << (number - 1) for number in (signal.SIGHUP, signal.SIGTERM))


def catches(pid: int, signals: int) -> bool:
    """Whether a process has handlers for these signals."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")]
    return mask & signals == signals


def loaded(daemon: Daemon, library: str) -> bool:
    return library in Path(f"/proc/{daemon.pid}/maps").read_text()


@pytest.fixture
def config(broker: str, topic_factory: Any, tmp_path: Path) -> Path:
    return configured(tmp_path, broker, topic_factory("spot", 1))


def configured(folder: Path, bootstrap: str, topic: str) -> Path:
    return configure(
        "binance.yaml",
        folder,
        bootstrap=bootstrap,
        topics={topic: "binance"},
        files=FILES,
        receivers={"tty": {"console": {}}},
        route={"to": ["tty"]},
    )


@pytest.fixture
def ctrl_c_heard() -> Iterator[None]:
    """A process that runs in the background of a script ignores Ctrl-C, and all that it starts do."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def in_its_first_moment(daemon: Daemon) -> None:
    """Wait for handlers; they are there before anything that takes long to load."""
    while not catches(daemon.pid, HUP | TERM):
        assert daemon.running
        time.sleep(0.001)
    assert not loaded(daemon, "numpy")


@pytest.mark.timeout(120)
def test_a_reload_asked_for_in_the_first_moment_is_done_after_the_start(config: Path) -> None:
    with Daemon(config, from_nothing=True) as daemon:
        in_its_first_moment(daemon)
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_until(lambda: "reloaded" in daemon.output(), "a reload")
        assert daemon.output().index("running") < daemon.output().index("reloaded")
        assert daemon.stop() == 0


def stopped_within(daemon: Daemon, seconds: float) -> int:
    began = time.monotonic()
    code = daemon.stop()
    assert time.monotonic() - began < seconds
    return code


def test_a_stop_in_the_first_moment_is_a_clean_one(config: Path) -> None:
    with Daemon(config, from_nothing=True) as daemon:
        in_its_first_moment(daemon)
        assert stopped_within(daemon, 5.0) == 0, daemon.output()
        assert "Traceback" not in daemon.output()


@pytest.mark.parametrize("stderr", ["full", "closed"])
def test_a_stop_is_a_clean_one_whatever_standard_error_is(tmp_path: Path, stderr: str) -> None:
    """In the first moment where it is full, and while it waits for the broker where it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Path("/dev/full").open("w") as full:
        config = configured(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", "spot.x")
        daemon = subprocess.Popen(
            [sys.executable, "-m", "streamer", "run", "-c", str(config)],
            stderr=full,
            preexec_fn=(lambda: os.close(2)) if stderr == "closed" else None,
        )
        if stderr == "closed":
            silent.settimeout(60)
            silent.accept()[0].close()
        while not catches(daemon.pid, HUP | TERM):
            assert daemon.poll() is None
            time.sleep(0.001)
        daemon.terminate()
        assert daemon.wait(20) == 0


@pytest.mark.parametrize(
    ("command", "wait_s"), [("run", 0.0), ("check", 0.0), ("check", 0.5), ("check", 1.5)]
)
def test_ctrl_c_in_the_first_moments_of_a_command_is_no_error(
    tmp_path: Path, command: str, wait_s: float, ctrl_c_heard: None
) -> None:
    config = configured(tmp_path, "127.0.0.1:1", "spot.x")
    argv = [sys.executable, "-m", "streamer", command, "-c", str(config)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while (
            "pydantic_core" not in Path(f"/proc/{process.pid}/maps").read_text()
        ):  # modules are being loaded
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(wait_s)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said


def test_a_stop_while_it_waits_for_the_broker_is_a_clean_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = configured(tmp_path, f"127.0.0.1:{silent.getsockname()[1]}", "spot.x")
        with Daemon(config, from_nothing=True) as daemon:
            silent.settimeout(60)
            connection, _ = silent.accept()
            assert stopped_within(daemon, 5.0) == 0, daemon.output()
            connection.close()
            assert "Traceback" not in daemon.output()


def test_a_stop_while_kernels_are_compiled_is_a_clean_one(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    with Daemon(config, from_nothing=True) as daemon:
        daemon.wait_until(lambda: "preparing kernels" in daemon.output(), "compiling")
        time.sleep(1.0)
        assert stopped_within(daemon, 5.0) == 0, daemon.output()
        assert "Traceback" not in daemon.output()
