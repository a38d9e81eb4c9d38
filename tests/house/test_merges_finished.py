"""No file keeps what a merge left open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEFT = re.compile(rb"^(<{7}|>{7}|\|{7}) .+$|^={7}$", re.MULTILINE)


def texts() -> Iterator[Path]:
    """Files of the project that are neither compressed nor built."""
    for top in ROOT.iterdir():
        if top.name.startswith(".") or top.name in ("build", "dist", "site"):
            continue
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and path.suffix not in (".gz", ".pyc", ".so", ".nbc", ".nbi"):
                yield path


def test_no_file_holds_the_marks_of_a_merge() -> None:
    assert LEFT.search(b"one\n" + b"<" * 7 + b" HEAD\ntwo\n")
    found = [str(path.relative_to(ROOT)) for path in texts() if LEFT.search(path.read_bytes())]
    assert found == []
