"""Completion in bash: installed as documented, and asked as bash asks when somebody presses Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

PROGRAM = """#!/bin/sh
exec '{python}' -c 'import sys; sys.argv[0] = "tapewatch"; from streamer.cli import main; main()' "$@"
"""


def in_bash(home: Path, script: str) -> str:
    """What a script prints, in a bash of somebody whose home this is, with `tapewatch` on the path."""
    program = home / "bin" / "tapewatch"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(0o755)
    environ = {**os.environ, "HOME": str(home), "PATH": f"{program.parent}:{os.environ['PATH']}"}
    file = home / "script.sh"
    file.write_text(script)
    done = subprocess.run(
        ["bash", "--norc", str(file)], env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pressed(home: Path, *typed: str) -> list[str]:
    """What bash offers for a line of words, the last of which is not finished."""
    words = " ".join(f"'{word}'" for word in typed)
    return in_bash(
        home,
        f"""
        source "$HOME/.bash_completions/tapewatch.sh"
        complete -p tapewatch > /dev/null
        COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}
        _tapewatch_completion tapewatch
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """,
    ).split()


@pytest.mark.long  # of shells, and by processes
def test_it_is_installed_and_completes_commands_and_options(tmp_path: Path) -> None:
    assert "completion installed" in in_bash(tmp_path, "tapewatch --install-completion; true")
    assert "tapewatch.sh" in (tmp_path / ".bashrc").read_text()
    assert pressed(tmp_path, "tapewatch", "al") == ["alerts"]
    assert pressed(tmp_path, "tapewatch", "re") == ["replay", "record", "restore"]
    assert pressed(tmp_path, "tapewatch", "alerts", "--near") == ["--near-misses"]
