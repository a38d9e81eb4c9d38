"""Compiled kernels are kept as long as nothing that is compiled into them changes, and no longer."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import alerts
import detectors
import streamer
from detectors.fingerprints import fingerprint
from detectors.kernels import kernel

ROOT = Path(detectors.__file__).parents[1]
PACKAGES = tuple(Path(package.__file__ or "").parent for package in (alerts, detectors, streamer))

# `top` reads a constant of its own, one of another module, and calls `middle`, which reads one and calls
# `bottom`, which reads another; `aside` has nothing to do with any of them.
FILES = {
    "made/__init__.py": "",
    "made/constants.py": """
import numpy as np
from enum import IntEnum
FOREIGN = 10
OF_MIDDLE = 20
OF_BOTTOM = 30
TABLE = np.array([40, 41])
PAIR = (50, (51, 52.0))
class Level(IntEnum):
    LOW = 60
""",
    "made/callees.py": """
from detectors.kernels import kernel
from made import constants
from made.constants import OF_BOTTOM, TABLE, PAIR, Level
@kernel
def bottom(x):
    return x + OF_BOTTOM + TABLE[0] + PAIR[1][0] + Level.LOW
@kernel(error_model="numpy")
def middle(x, more=70):
    return bottom(x) + constants.OF_MIDDLE + more
""",
    "made/kernels.py": """
from detectors.kernels import kernel
from made.callees import middle
from made.constants import FOREIGN
_OWN = 80
def _closure(added):
    @kernel
    def inside(x):
        return x + added
    return inside
inside = _closure(90)
@kernel
def top(x):
    "A docstring."
    return middle(x) + inside(x) + FOREIGN + _OWN
@kernel
def aside(x):
    return x + 1
""",
}
# Runs packages at the same time, each in a process of its own; the compiler is ready before.
RUNS = """
import json, os, sys
from numba.core import config
from numba.core.registry import cpu_target
import detectors.kernels
cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()
for line in sys.stdin:
    answers = []
    for folder, environ in json.loads(line):
        answer, say = os.pipe()
        if os.fork() == 0:
            os.environ.update(environ)
            config.reload_config()
            sys.path.insert(0, folder)
            from made import kernels
            found = {}
            for name in ("top", "aside"):
                each = getattr(kernels, name)
                found[name] = [each(0), sum(each.stats.cache_misses.values())]
            os.write(say, json.dumps(found).encode())
            os._exit(0)
        os.close(say)
        answers.append(os.fdopen(answer))
    found = [json.loads(each.read() or "null") for each in answers]
    for _ in answers:
        os.wait()
    print(json.dumps(found), flush=True)
"""
UNCHANGED = 10 + 80 + 20 + 30 + 40 + 51 + 60 + 70 + 90


class Processes:
    """Processes that run kernels: each begins as one that has the compiler ready, and compiled nothing."""

    def __init__(self, **environ: str) -> None:
        # a file changed twice in a second would not be read again
        own = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environ}
        self._first = subprocess.Popen(
            [sys.executable, "-c", RUNS],
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folders: Sequence[Path], environ: Mapping[str, str]) -> list[dict[str, Any]]:
        """What each kernel gives, and how many times it had to be compiled; for all folders at once."""
        assert self._first.stdin is not None
        assert self._first.stdout is not None
        print(json.dumps([[str(folder), environ] for folder in folders]), file=self._first.stdin, flush=True)
        found: list[dict[str, Any]] = json.loads(self._first.stdout.readline())
        return found

    def end(self) -> None:
        self._first.communicate()


class Package:
    """A package on disk that may be changed, whose kernels run in processes of their own."""

    def __init__(self, folder: Path, kernels: Path, processes: Processes) -> None:
        self.folder, self.kernels, self._processes = folder, kernels, processes
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new))

    def run(self, **environ: str) -> dict[str, Any]:
        (found,) = self.run_at_once(1, **environ)
        return found

    def run_at_once(self, times: int, **environ: str) -> list[dict[str, Any]]:
        return self._processes.run([self.folder] * times, {"NUMBA_CACHE_DIR": str(self.kernels), **environ})


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    found.end()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, processes: Processes) -> Path:
    """The folder in which the unchanged package's kernels are kept."""
    folder = tmp_path_factory.mktemp("kept")
    package = Package(folder / "code", folder / "kernels", processes)
    assert package.run() == {"top": [UNCHANGED, 1], "aside": [1, 1]}
    return package.kernels


@pytest.fixture
def package(compiled: Path, tmp_path: Path, processes: Processes) -> Package:
    """The package elsewhere, as another checkout has it, with a copy of what is kept."""
    return Package(tmp_path / "elsewhere", Path(shutil.copytree(compiled, tmp_path / "kernels")), processes)


@pytest.mark.parametrize(
    ("file", "old", "new", "difference"),
    [
        pytest.param("kernels.py", "_OWN = 80", "_OWN = 81", 1, id="its own module's constant"),
        pytest.param("constants.py", "FOREIGN = 10", "FOREIGN = 11", 1, id="another module's"),
        pytest.param("constants.py", "MIDDLE = 20", "MIDDLE = 22", 2, id="a callee's, by its module"),
        pytest.param("constants.py", "BOTTOM = 30", "BOTTOM = 33", 3, id="a callee's callee's"),
        pytest.param("constants.py", "[40,", "[44,", 4, id="an array"),
        pytest.param("constants.py", "(51,", "(56,", 5, id="within a tuple"),
        pytest.param("constants.py", "LOW = 60", "LOW = 66", 6, id="a member of an enum"),
        pytest.param("callees.py", "more=70", "more=77", 7, id="a callee's default"),
        pytest.param("kernels.py", "_closure(90)", "_closure(98)", 8, id="a closure's cell"),
        pytest.param("callees.py", "return bottom(x) +", "return bottom(x) + 9 +", 9, id="a callee's code"),
        pytest.param("callees.py", 'error_model="numpy"', "forceinline=True", 0, id="a callee's options"),
    ],
)
def test_a_kernel_is_compiled_anew_with_anything_that_it_reads(
    package: Package, file: str, old: str, new: str, difference: int
) -> None:
    package.change(f"made/{file}", old, new)
    assert package.run() == {"top": [UNCHANGED + difference, 1], "aside": [1, 0]}


def test_what_was_kept_before_a_change_is_there_when_it_is_undone(package: Package) -> None:
    package.change("made/constants.py", "FOREIGN = 10", "FOREIGN = 11")
    for compiled in (1, 0):
        assert package.run() == {"top": [UNCHANGED + 1, compiled], "aside": [1, 0]}
    package.change("made/constants.py", "FOREIGN = 11", "FOREIGN = 10")
    assert package.run() == {"top": [UNCHANGED, 0], "aside": [1, 0]}


def test_kernels_are_kept_for_other_places_comments_and_times(package: Package) -> None:
    package.change("made/kernels.py", '"A docstring."', '"""Another one,\n    longer."""  # and a remark')
    package.change("made/constants.py", "TABLE =", "UNREAD = 5\nTABLE =")
    assert package.run() == {"top": [UNCHANGED, 0], "aside": [1, 0]}


def test_nothing_is_shared_between_processors(package: Package) -> None:
    elsewhere = Processes(NUMBA_CPU_NAME="generic")
    (found,) = elsewhere.run([package.folder], {"NUMBA_CACHE_DIR": str(package.kernels)})
    elsewhere.end()
    assert found["aside"] == [1, 1]


def test_kernels_are_kept_in_the_users_cache(package: Package, tmp_path: Path) -> None:
    cache = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    home = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": str(tmp_path / "home")}
    for environ, folder in ((cache, "cache"), (home, "home/.cache")):
        assert package.run(**environ)["top"] == [UNCHANGED, 1]
        assert list((tmp_path / folder / "tapewatch" / "kernels").glob("*.kernel"))
        assert package.run(**environ)["top"] == [UNCHANGED, 0]


def test_a_folder_that_cannot_be_written_to_is_no_reason_to_fail(package: Package, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert package.run(NUMBA_CACHE_DIR=str(tmp_path / "file"))["top"] == [UNCHANGED, 1]


def test_what_is_damaged_is_compiled_anew(package: Package) -> None:
    for path in package.kernels.rglob("*.kernel"):
        path.write_bytes(path.read_bytes()[:-100])
    assert package.run() == {"top": [UNCHANGED, 1], "aside": [1, 1]}
    assert package.run() == {"top": [UNCHANGED, 0], "aside": [1, 0]}


def test_one_changed_byte_in_machine_code_is_noticed(package: Package) -> None:
    for path in package.kernels.rglob("*.kernel"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x55
        path.write_bytes(data)
    assert package.run() == {"top": [UNCHANGED, 1], "aside": [1, 1]}
    assert package.run() == {"top": [UNCHANGED, 0], "aside": [1, 0]}


def test_what_has_not_been_used_for_long_is_removed_when_something_is_added(package: Package) -> None:
    def age(pattern: str, days: int) -> Path:
        (path,) = package.kernels.rglob(pattern)
        os.utime(path, (time.time() - days * 86_400,) * 2)
        return path

    old, used = age("*bottom-*.kernel", 91), age("*.top-*.kernel", 91)
    assert package.run()["top"] == [UNCHANGED, 0]
    assert old.exists()
    package.change("made/kernels.py", "return x + 1", "return x + 2")
    assert package.run()["aside"] == [2, 1]
    assert not old.exists()
    assert used.exists()


def test_processes_that_compile_at_the_same_time_do_not_disturb_one_another(
    tmp_path: Path, processes: Processes
) -> None:
    package = Package(tmp_path / "code", tmp_path / "kernels", processes)
    assert all(found["top"][0] == UNCHANGED for found in package.run_at_once(3))
    assert package.run() == {"top": [UNCHANGED, 0], "aside": [1, 0]}
    assert not list(package.kernels.rglob("*.new"))


def test_a_value_that_has_no_contents_to_go_by_is_refused() -> None:
    unknown = object()

    @kernel
    def reads(x):  # type: ignore[no-untyped-def]
        return x if unknown else 0

    with pytest.raises(TypeError, match=r"reads: a kernel cannot read unknown, <object"):
        fingerprint(reads)


def test_the_packages_copies_are_the_same() -> None:
    for name in ("kernels.py", "fingerprints.py"):
        copies = {(package / name).read_text() for package in PACKAGES if (package / name).exists()}
        assert len(copies) == 1, name


ONLY_THESE: Mapping[str, set[str]] = {
    "alerts/kernels.py": {"numba"},
    "alerts/fingerprints.py": {"numba"},
    "detectors/kernels.py": {"numba"},
    "detectors/fingerprints.py": {"numba"},
    "streamer/pipeline/compiling.py": {"event"},  # tells of each kernel that is compiled
    "streamer/app/held_guard.py": {"types", "signature"},  # calls of the C library, made without the GIL
    # operations of the processor, which are no functions of Python
    "streamer/decoding/json/wide_loads.py": {"types", "cgutils", "intrinsic"},
}


def test_nothing_is_compiled_otherwise() -> None:
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            name = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "numba":
                    imported = {alias.name for alias in node.names}
                elif isinstance(node, ast.Import):
                    imported = {alias.name for alias in node.names if alias.name.partition(".")[0] == "numba"}
                else:
                    continue
                allowed = ONLY_THESE.get(name, set())
                assert "numba" in allowed or imported <= allowed, f"{name} uses numba: {imported}"
