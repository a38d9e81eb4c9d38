"""A wheel holds every file of the packages, data files included, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
PACKAGES = ("streamer", "detectors", "alerts")
LEFT_BY_RUNNING = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")

_BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def test_a_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    source, built = tmp_path / "source", tmp_path / "built"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=LEFT_BY_RUNNING)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # setuptools leaves its own folders beside the source
    expected = {path.relative_to(source).as_posix() for path in source.rglob("*/*") if path.is_file()}
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(built)], cwd=source, check=True, capture_output=True, timeout=120
    )
    (wheel,) = built.glob("tapewatch-*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {"alerts/catalogue/crypto.yaml", "alerts/language/grammar.lark"} <= names
