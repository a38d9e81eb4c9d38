"""A cold start compiles in several processes, says so, and leaves nothing behind when it is given up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from detectors.kernels import kernel, kernel_folder
from streamer.config.load import load
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.compiling import only_load, processes_for, shown
from streamer.pipeline.cores import cores
from streamer.pipeline.warmup import warm_up

ROOT = Path(__file__).parents[2]
WARMS_UP = """
import sys
from streamer.config.load import load
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.compiling import watching
from streamer.pipeline.warmup import warm_up

class Told:
    def __init__(self):
        self.begun, self.count, self.ended = [], 0, 0
    def begin(self, processes):
        self.begun.append(processes)
    def compiled(self, count):
        self.count += count
    def end(self, seconds, ready):
        self.ended += ready

view, here = Told(), []
with watching(lambda: here.append(1), lambda: None):
    warm_up(compile_plan(load(sys.argv[1])), view)
print(view.begun, view.ended, view.count, len(here))
"""
RULES = """
source:
  kafka: {bootstrap: localhost:9092}
  topics: [{match: trades, format: tapewatch}]
rules:
  fat_finger: {when: size > 50 * size_mean_1h}
receivers:
  console: {console: {}}
"""
OF_EITHER_PART = ("read_names", "notional")  # quickly compiled
TWO_CORES = cores() > 1


class Told:
    """Remembers what a `CompileView` was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self, processes: int) -> None:
        self.calls.append(f"begin {processes}")

    def compiled(self, count: int) -> None:
        self.calls.append(f"compiled {count}")

    def end(self, seconds: float, ready: bool) -> None:
        self.calls.append("ready" if ready else "given up")


def one_more(x: int) -> int:
    return x + 1


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    return tmp_path / "kernels"


def test_what_is_compiled_here_is_shown_and_what_is_kept_is_not(kernels: Path) -> None:
    for calls in (["begin 1", "compiled 1", "ready"], []):
        told = Told()
        with shown(told):
            assert kernel(one_more)(1) == 2
        assert told.calls == calls


def test_what_was_given_up_is_not_called_ready(kernels: Path) -> None:
    told = Told()
    with shown(told, lambda: True):
        kernel(one_more)(1)
    assert told.calls[-1] == "given up"


def test_kernels_can_be_loaded_without_compiling_any(kernels: Path) -> None:
    assert not only_load(lambda: kernel(one_more)(1))
    assert not kernels.exists()
    kernel(one_more)(1)
    assert only_load(lambda: kernel(one_more)(1))


def test_processes_are_started_only_where_they_can_share_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    assert processes_for(["one", "another"]) == (2 if TWO_CORES else 0)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path / "file"))
    assert processes_for(["one", "another"]) == 0


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def _warmed_up(plan: Path, environ: Mapping[str, str]) -> list[str]:
    """What `WARMS_UP` says: beginnings, ends, kernels compiled elsewhere, and here."""
    done = subprocess.run(
        [sys.executable, "-c", WARMS_UP, str(plan)],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.long  # it compiles for half a minute
@pytest.mark.skipif(not TWO_CORES, reason="one core: kernels are compiled in this process")
def test_processes_compile_what_is_missing_of_either_part(plan: Path, tmp_path: Path) -> None:
    warm_up(compile_plan(load(plan)))
    kept = kernel_folder()
    assert kept is not None
    kernels = shutil.copytree(kept, tmp_path / "kernels" / "kernels")
    missing = [path for name in OF_EITHER_PART for path in kernels.glob(f"*.{name}-*.kernel")]
    for path in missing:
        path.unlink()
    begun, ended, elsewhere, here = _warmed_up(plan, _environ(tmp_path))
    assert (begun, ended) == ("[2]", "1")
    assert len(OF_EITHER_PART) <= int(elsewhere) <= len(missing)
    assert here == "1", "the one that was to be compiled here was not"
    assert _warmed_up(plan, _environ(tmp_path)) == ["[]", "0", "0", "0"]


@pytest.mark.long
@pytest.mark.skipif(not TWO_CORES, reason="one core: kernels are compiled in this process")
def test_processes_compile_all_that_a_plan_needs(plan: Path, tmp_path: Path) -> None:
    begun, ended, elsewhere, here = _warmed_up(plan, _environ(tmp_path))
    assert (begun, ended, here) == ("[2]", "1", "1")
    assert int(elsewhere) > 50
    assert _warmed_up(plan, _environ(tmp_path)) == ["[]", "0", "0", "0"]


@pytest.mark.skipif(not TWO_CORES, reason="one core: kernels are compiled in this process")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, 130, marks=pytest.mark.long),  # test_signals_at_start has one
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.long),
    ],
)
def test_a_signal_ends_the_processes_that_compile(tmp_path: Path, number: signal.Signals, code: int) -> None:
    command = [sys.executable, "-m", "streamer", "demo", "--minutes", "15"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=_environ(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert "preparing kernels" in process.stderr.readline()
        compiling = _until(lambda: _children(process.pid), 2)
        time.sleep(1)
        process.send_signal(number)
        assert process.wait(timeout=20) == code
        _until(lambda: [pid for pid in compiling if not _is_running(pid)], 2)
    finally:
        process.kill()
        process.communicate()


def _environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}


def _until(found: Callable[[], list[int]], count: int) -> list[int]:
    deadline = time.monotonic() + 30
    while len(now := found()) < count:
        assert time.monotonic() < deadline, now
        time.sleep(0.1)
    return now


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
