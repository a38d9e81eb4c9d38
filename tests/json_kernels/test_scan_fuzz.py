"""The fuzzer's short form, and that it finds what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scan_fuzz import Fuzzer, ScanRows

from streamer.decoding.json import Scan, Scanner

HERE = Path(__file__).parent
Array = NDArray[np.int64]
Arena = NDArray[np.uint8]


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_are_identical_or_flagged(seed: int) -> None:
    tally = Fuzzer(seed).run(4000)
    assert tally.differences == []
    assert tally.inputs == 4000
    assert tally.flagged_valid < tally.valid * 0.05


def _trailing_garbage(scanner: Scanner, arena: Arena, at: Array, size: Array) -> Scan:
    shorter = size.copy()
    for row in range(len(at)):
        if size[row] > 0:
            shorter[row] = arena[at[row] : at[row] + size[row]].tobytes().rfind(b"}") + 1
    return scanner.scan(arena, at, shorter)


def _any_utf8(scanner: Scanner, arena: Arena, at: Array, size: Array) -> Scan:
    readable = np.append(arena[:-64], np.zeros(64, np.uint8))
    return scanner.scan(np.where(readable >= 0x80, ord("a"), readable).astype(np.uint8), at, size)


def _one_ulp_off(scanner: Scanner, arena: Arena, at: Array, size: Array) -> Scan:
    found = scanner.scan(arena, at, size)
    for number, field in enumerate(scanner.fields):
        if field.type in {"number", "decimal"}:
            values = found.number(number)
            values[::50] = np.nextafter(values[::50], np.inf)
    return found


def _duplicate_keys(scanner: Scanner, arena: Arena, at: Array, size: Array) -> Scan:
    """Flagged rows in which a key stands twice are taken without the first one."""
    changed = np.append(arena[:-64], np.zeros(64, np.uint8))
    for row in np.flatnonzero(scanner.scan(arena, at, size).flagged):
        value = arena[at[row] : at[row] + max(size[row], 0)].tobytes()
        for key in {part for part in value.split(b'"') if part.isalnum()}:
            if value.count(b'"' + key + b'":') == 2:
                place = at[row] + value.index(b'"' + key + b'":') + 1
                changed[place : place + len(key)] = ord("#")
    return scanner.scan(changed, at, size)


def _bits_of_the_row_before(scanner: Scanner, arena: Arena, at: Array, size: Array) -> Scan:
    found = scanner.scan(arena, at, size)
    found.present[1:] |= found.present[:-1] & np.uint64(1)
    return found


def _never_flagged(scanner: Scanner, arena: Arena, at: Array, size: Array) -> Scan:
    found = scanner.scan(arena, at, size)
    found.flagged[:] = False
    return found


PLANTED: list[ScanRows] = [
    _trailing_garbage, _any_utf8, _one_ulp_off, _duplicate_keys, _bits_of_the_row_before, _never_flagged,
]  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_planted_bugs_are_found(planted: ScanRows) -> None:
    assert Fuzzer(3, planted).run(20_000).differences


TOO_FAR = """
import ctypes, sys
sys.path.insert(0, {here!r})
from scan_fuzz import Fuzzer
from streamer.decoding.json import Scanner
def scan(scanner, arena, at, size):
    ctypes.string_at(arena.ctypes.data + {offset}, 1)
    return scanner.scan(arena, at, size)
print(len(Fuzzer(1, scan).run(2000).differences), "differences")
"""


@pytest.mark.parametrize(("offset", "dies"), [("0", False), ("len(arena) - 1", True), ("-1", True)])
def test_a_read_outside_the_arena_kills(offset: str, dies: bool) -> None:
    code = TOO_FAR.format(here=str(HERE), offset=offset)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE.parents[1], capture_output=True, text=True, timeout=300
    )
    if dies:
        assert done.returncode == -11, done.stderr
    else:
        assert done.stdout == "0 differences\n", done.stderr


def test_it_runs_by_itself() -> None:
    root = str(HERE.parents[1])
    command = [sys.executable, str(HERE / "scan_fuzz.py"), "300", "7"]
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout[:11]) == (0, "300 inputs,"), done.stderr


def test_the_same_seed_makes_the_same_inputs() -> None:
    make: Callable[[], Fuzzer] = lambda: Fuzzer(9, real=[b'{"stream":"x","data":{"p":"1"}}'])  # noqa: E731
    first, second = make().run(600), make().run(600)
    assert (first.checks, first.valid) == (second.checks, second.valid)
