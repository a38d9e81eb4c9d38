"""Commands of a user that has no name, such as the arbitrary one of a container."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from streamer.cli import main
try:
    main()  # loads what another user may not read
except SystemExit:
    pass
for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
os.setuid(54321)
main()
"""
CONFIG = "source: {files: [{match: '*', format: tapewatch}]}\nreceivers: {screen: {console: {}}}\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_try_names_the_user_by_its_number() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        config = Path(folder) / "t.yaml"
        config.write_text(CONFIG)
        config.chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "try", "screen", "-c", str(config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 0, done.stderr
    first, second = (line for line in done.stderr.splitlines() if "TEST, nothing has happened" in line)
    assert "by uid 54321 on" not in first
    assert "by uid 54321 on" in second
