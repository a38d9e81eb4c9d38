"""Compiled kernels are kept as long as all that they are made of, and no longer."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import detectors
from detectors.kernels import MADE_OF

PACKAGE = Path(detectors.__file__).parent
SCORE = """
import numpy as np
from detectors.models.robust_z import RobustZ
model = RobustZ(1)
model.grow(1)
n = 100
score = np.empty(n)
x = np.arange(n, dtype=np.float64)[:, None]
model.step(np.zeros(n, np.int32), x, np.full(n, np.nan), np.ones(n, np.bool_), score, np.empty(n, np.int8))
print(score[-1])
"""


class Copy:
    """The package somewhere else, where it may be changed, with kernels of its own."""

    def __init__(self, root: Path) -> None:
        self.code = root / "code"
        self.kernels = root / "kernels"
        shutil.copytree(PACKAGE, self.code / "detectors", ignore=shutil.ignore_patterns("__pycache__"))

    def change(self, name: str, old: str, new: str) -> None:
        path = self.code / "detectors" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def score(self) -> float:
        done = subprocess.run(
            [sys.executable, "-c", SCORE],
            cwd=self.code,
            env={**os.environ, "PYTHONPATH": str(self.code), "NUMBA_CACHE_DIR": str(self.kernels)},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        return float(done.stdout)

    def compiled(self) -> Mapping[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.kernels.rglob("*.nb[ci]")}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, float]:
    copy = Copy(tmp_path_factory.mktemp("kernels"))
    return copy, copy.score()


def test_they_are_kept_where_nothing_that_they_are_made_of_changes(scored: tuple[Copy, float]) -> None:
    copy, before = scored
    compiled = copy.compiled()
    assert compiled
    copy.change("settings.py", '"""', '"""Another. ')
    assert copy.score() == before
    assert copy.compiled() == compiled


def test_a_kernel_is_compiled_anew_with_one_that_it_calls(scored: tuple[Copy, float]) -> None:
    copy, before = scored
    copy.change("medians.py", "while place > 0", "ordered[n] = 1e3\n    while place > n")
    assert copy.score() != before


def _foreign(path: Path) -> Iterator[str]:
    """The files of the package that kernels of this one take something from."""
    tree = ast.parse(path.read_text())
    origin = {
        alias.asname or alias.name: node.module.removeprefix("detectors.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("detectors.")
        for alias in node.names
    }
    made_with = {
        target.id: _names(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for each in node.targets
        for target in ast.walk(each)
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "kernel" in set().union(*map(_names, node.decorator_list)):
            used = _names(node)
            used |= set().union(*(made_with[name] for name in used & set(made_with)))
            yield from (origin[name].replace(".", "/") + ".py" for name in used & set(origin))


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def test_all_files_that_kernels_take_something_from_count() -> None:
    holding = {path for path in PACKAGE.rglob("*.py") if any(_foreign(path))}
    assert len(holding) > 20
    for path in holding:
        assert {str(path.relative_to(PACKAGE)), *_foreign(path)} <= set(MADE_OF)


def test_no_kernel_of_the_package_is_kept_otherwise() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.name == "kernels.py" or "numba" not in path.read_text(), path
