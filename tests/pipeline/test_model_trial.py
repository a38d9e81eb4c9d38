"""Models by import name: what they do as they are loaded and built stays in a process with limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from detectors.detector_settings import DetectorSettings
from streamer.pipeline.model_trial import ModelTrial, TrialLimits, TrialResult

MODELS = """
import concurrent.futures, ctypes, multiprocessing, os, threading, time

def write():
    open("written", "w").close()

class Mine:
    def score_one(self, x): return 0.5
    def learn_one(self, x): pass

class Sleeps(Mine):
    def __init__(self): time.sleep(10_000)

class Grows(Mine):
    def __init__(self): self.all = bytearray(50 * 2**30)

class Leaves(Mine):
    def __init__(self): os._exit(0)

class Prints(Mine):
    def __init__(self): print("{}")

class Writes(Mine):
    def __init__(self): open("written", "w").close()

class Spawns(Mine):
    kind = "spawn"
    def __init__(self):
        try:
            process = multiprocessing.get_context(self.kind).Process(target=write)
            process.start()
            process.join(20)
        except PermissionError:
            pass

class Forkserves(Spawns):
    kind = "forkserver"

class Pipes(Mine):
    def __init__(self): os.mkfifo("written")

class Calls(Mine):
    def __init__(self): ctypes.CDLL(None).system(b"touch written")

class CallsPython(Mine):
    def __init__(self): ctypes.pythonapi.Py_IsInitialized(); ctypes.pythonapi.system(b"touch written")

class Locks(Mine):
    def __init__(self): multiprocessing.get_context("spawn").Lock()

class Enlarges(Mine):
    def __init__(self): os.posix_fallocate(os.memfd_create("own"), 0, 10)  # no audit event: only a limit

class Pools(Mine):
    def __init__(self): concurrent.futures.ProcessPoolExecutor(1)

class Threads(Mine):
    def __init__(self): threading.Thread(target=print).start()

class Scribbles(Mine):
    said = b"garbage\\n"
    def __init__(self):
        for fd in range(3, 40):
            try: os.write(fd, self.said)
            except OSError: pass

class Forges(Scribbles):
    said = b'{"nonsense": 1}\\n'

class Finishes(Scribbles):
    said = b'{"done": true}\\n'

class Floods(Scribbles):
    said = b"x" * 3_000_000

class NoDetector:
    def __init__(self): open("written", "w").close()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "trial_own.py").write_text(MODELS)
    (tmp_path / "trial_exits.py").write_text("raise SystemExit(3)")
    (tmp_path / "trial_broken.py").write_text("def x(:")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tried(*models: str) -> dict[str, TrialResult]:
    settings = {name: DetectorSettings(model=name, features=["price"]) for name in models}
    with ModelTrial(settings, hands_off=True, limits=TrialLimits(build_s=5.0)) as trial:
        return dict(trial.results())


def test_each_that_misbehaves_is_told_and_the_others_are_tried(folder: Path) -> None:
    results = tried(
        "trial_own.Sleeps",
        "trial_own.Leaves",
        "trial_own.Grows",
        "trial_own.Prints",
        "trial_own.Writes",
        "trial_own.NoDetector",
        "trial_exits.Mine",
        "trial_broken.Mine",
        "./own.py:Mine",
        ".foo",
        "subprocess.Popen",
        "trial_own.Mine",
    )
    errors = {name: result.error for name, result in results.items() if result.error is not None}
    assert errors == {
        "trial_own.Sleeps": "building it took more than 5 s: it must return, and load what takes long "
        "elsewhere",
        "trial_own.Leaves": "building it ended its process, which exited with code 0: "
        "a model must not end its process, nor crash it",
        "trial_own.Grows": "it takes more than 2.0 GB to build, and every instrument needs one",
        "trial_own.NoDetector": "NoDetector is not an anomaly detector: it has no score_one",
        "trial_exits.Mine": "cannot import 'trial_exits.Mine': its module fails as it is loaded: "
        "SystemExit: 3",
        "trial_broken.Mine": f"cannot import 'trial_broken.Mine': {folder}/trial_broken.py:1 is not Python: "
        "invalid syntax",
        "./own.py:Mine": "'./own.py:Mine' is not an import name: write own.Mine, and put the folder of "
        "own.py on PYTHONPATH",
        ".foo": "'.foo' is not an import name: write the module and the class with a dot between them, "
        "such as own.Mine",
        "subprocess.Popen": "Popen is not an anomaly detector: it has no score_one",
    }
    assert results["trial_own.Writes"].untried == "write to 'written'"
    assert results["trial_own.Mine"] == results["trial_own.Prints"] == TrialResult()
    assert not (folder / "written").exists()


def test_no_way_around_leads_out_of_the_process(folder: Path) -> None:
    ways = {
        "Spawns": None,  # it goes on without the process, and can be used
        "Forkserves": None,
        "Pipes": "make a pipe",
        "Calls": "load a library",
        "CallsPython": "call the C library",
        "Locks": "make a semaphore",
        "Enlarges": "write to a file",
        "Pools": "make a semaphore",
        "Threads": "start a thread",
    }
    results = tried(*(f"trial_own.{name}" for name in ways))
    assert not (folder / "written").exists()
    assert {name.partition(".")[2]: result.untried for name, result in results.items()} == ways
    assert results["trial_own.Spawns"].kept_from == "start a process"
    assert {result.error for result in results.values()} == {None}


def test_a_model_that_writes_where_answers_are_is_told_and_the_others_are_tried(folder: Path) -> None:
    scribbling = [f"trial_own.{name}" for name in ("Scribbles", "Forges", "Finishes", "Floods")]
    results = tried(*scribbling, "trial_own.Mine")
    assert {results[name].error for name in scribbling} == {
        "building it wrote to a file descriptor that it did not open: a model must leave those alone"
    }
    assert results["trial_own.Mine"] == TrialResult()


def test_check_runs_nothing_that_is_no_model_and_exits_with_2(folder: Path) -> None:
    (folder / "t.yaml").write_text(
        """source: {kafka: {bootstrap: "x:1"}, topics: [{match: t, format: tapewatch}]}
detectors:
  tape:
    model: [{model: subprocess.Popen, params: {args: "touch written", shell: true}}]
    features: [price]
rules: {a: {when: tape.rarity > 1d}}
"""
    )
    command = [sys.executable, "-m", "streamer", "check", "--offline", "-c", "t.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "t.yaml:4:21: detectors.tape.model[0].model: 'subprocess.Popen' is not a part"
    )
    assert "Traceback" not in done.stderr
    assert not (folder / "written").exists()
