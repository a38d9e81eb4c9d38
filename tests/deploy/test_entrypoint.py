"""The image's entrypoint, run by a user who did not build the image."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_COMPILE = """
import os, sys
import numpy as np
from detectors.features.windows import lowest_bit
lowest_bit(np.int32(4))
if "other" in sys.argv and os.geteuid() == 0:
    os.setuid(65534)  # only now: all that is imported may be root's
print(lowest_bit(np.int64(4)))
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can enter, which those of pytest's are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _run(command: list[str], environ: dict[str, str], *, as_other: bool = False) -> str:
    other = {"user": 65534, "group": 65534} if as_other and os.geteuid() == 0 else {}
    done = subprocess.run(
        command, env={**os.environ, **environ}, cwd="/", capture_output=True, text=True, **other
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_kernels_compiled_into_the_image_are_there_for_its_user(shared: Path) -> None:
    image, target = shared / "image", shared / "tmp" / "kernels"
    target.parent.mkdir()
    target.parent.chmod(0o777)
    _run([sys.executable, "-c", _COMPILE], {"NUMBA_CACHE_DIR": str(image), "PYTHONPATH": str(_ROOT)})
    environ = {
        "NUMBA_CACHE_DIR": str(target),
        "TAPEWATCH_KERNELS": str(image),
        "TAPEWATCH_BIN": str(shutil.which("ls")),
    }
    entrypoint = ["/bin/sh", str(_copied(_ROOT / "deploy/entrypoint.sh", shared))]
    listed = _run([*entrypoint, str(target / "kernels")], environ, as_other=True)
    assert ".kernel" in listed
    assert _run([*entrypoint, str(target / "kernels")], environ, as_other=True) == listed


def test_a_kernel_folder_that_cannot_be_entered_is_no_reason_to_fail(shared: Path) -> None:
    closed = shared / "closed"
    (closed / "kernels").mkdir(parents=True)
    closed.chmod(0o000)
    environ = {"NUMBA_CACHE_DIR": str(closed), "PYTHONPATH": str(_ROOT)}
    try:
        found = _run([sys.executable, "-c", _COMPILE, "other"], environ)
    finally:
        closed.chmod(0o755)
    assert found.strip() == "2"


def _copied(path: Path, folder: Path) -> Path:
    copy = Path(shutil.copy(path, folder))
    copy.chmod(0o755)
    return copy
