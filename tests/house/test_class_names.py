"""A class name stands for one thing: no two classes of the three packages share one."""

from __future__ import annotations

from pathlib import Path

import pytest
from house.class_names import defined_twice

ROOT = Path(__file__).parents[2]


def test_no_two_classes_share_a_name() -> None:
    packages = [ROOT / name for name in ("streamer", "detectors", "alerts")]
    assert not defined_twice(packages, [ROOT / "alerts" / name for name in ("kernels.py", "fingerprints.py")])


@pytest.mark.parametrize(
    "second", ["class Columns: ...", "class _Columns: ...", "def f():\n    class Columns: ..."]
)
def test_two_classes_of_one_name_in_a_package_are_found(tmp_path: Path, second: str) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "batch.py").write_text("class Columns: ...\nclass Rows: ...\n", "utf-8")
    (tmp_path / "room" / "scan.py").write_text(second, "utf-8")
    assert list(defined_twice([tmp_path])) == ["Columns"]
