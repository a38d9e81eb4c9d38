"""Kernels that are kept are loaded without a compiler, and give the same; what is not kept is compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDS = """
import hashlib, importlib.util, sys
from pathlib import Path
import numpy as np
if "own" in sys.argv:
    from streamer.pipeline.kernel_loading import load_without_compiler
    load_without_compiler()
if "light" in sys.argv:
    from streamer.pipeline.kernel_loading import load_without_compiler
    load_without_compiler({"made"})
import made
print(made.spread(np.arange(40.0)).tolist(), made.sorted_powers(np.array([3, 1, 2])).tolist())
print("numba.np.linalg" in sys.modules)
if "more" in sys.argv:
    print(made.spread(np.arange(40.0, dtype=np.float32)).tolist(), "numba.np.linalg" in sys.modules)
"""
KERNELS = """
import numpy as np
from numba import njit

@njit
def _checked(text, values):
    if ord(text[0]) != 97 or len(text) != 3:
        raise ValueError("never")
    return np.empty_like(values)

@njit(cache=True, nogil=True)
def spread(values):
    found = _checked("abc", values)
    for at in range(len(values)):
        found[at] = np.log(1.0 + values[at]) / values.mean()
    return found

@njit(cache=True, nogil=True)
def sorted_powers(values):
    seen = {"one": 1}
    for value in values:
        seen[str(value)] = value
    return np.sort(values.astype(np.float64) ** (len(seen) - 1))
"""


def said(folder: Path, *words: str) -> list[str]:
    environ = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "NUMBA_CACHE_DIR": str(folder / "kernels")}
    command = [sys.executable, "-c", FOLDS, *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_kept_kernels_need_no_compiler_and_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(KERNELS)
    compiled = said(tmp_path, "light")
    assert compiled[1] == "True"
    loaded = said(tmp_path, "light")
    assert loaded == [compiled[0], "False"]
    assert said(tmp_path) == compiled
    # only those of this service
    assert said(tmp_path, "own") == compiled


def test_what_is_not_kept_is_compiled_then_and_kept_for_everybody(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(KERNELS)
    said(tmp_path, "light")
    first = said(tmp_path, "light", "more")
    assert first[1] == "False"
    assert first[2].endswith("True")
    again = said(tmp_path, "light", "more")
    assert again[2] == first[2].removesuffix("True") + "False"
    assert said(tmp_path, "more")[2] == first[2]
