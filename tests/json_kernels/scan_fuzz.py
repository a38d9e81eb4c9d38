"""Holds scans against parsers: each row is identical, or flagged. Takes a number of inputs and a seed.

Rows lie between pages that cannot be touched, with as little behind the last one as kernels say they need.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from guarded import GuardedMemory, spans
from numpy.typing import NDArray
from scan_inputs import Maker, field_sets, real_lines
from scan_reference import Expected, expected

from streamer.decoding.json import JsonField, Scan, Scanner
from streamer.decoding.json.scanner import PADDING
from streamer.decoding.json.wide_loads import REACH

ScanRows = Callable[[Scanner, NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]], Scan]
_ROOM = 1 << 22
_BATCH = 200
_ALONE = 5  # of a batch, so many rows are also scanned alone
_FILLERS = (b"\x00", b'"', b"1", b"}", b" ", b"\xff", b',"p":1}', b'{"a":')


@dataclass(slots=True)
class Tally:
    """What a run has seen."""

    inputs: int = 0
    checks: int = 0
    flagged_valid: int = 0
    valid: int = 0
    differences: list[str] = field(default_factory=list)


class Fuzzer:
    """Feeds inputs to scanners, and compares.

    Parameters
    ----------
    seed
        Of the inputs.
    scan
        What scans: a scanner's own, unless a test plants a bug.
    real
        Lines to begin with.
    """

    def __init__(self, seed: int, scan: ScanRows = Scanner.scan, real: list[bytes] | None = None) -> None:
        self._maker = Maker(seed, real_lines(3000) if real is None else real)
        self._scan = scan
        self._memory = GuardedMemory(_ROOM)
        self._scanners = [Scanner(fields) for fields in field_sets(self._maker.random)]
        self.tally = Tally()

    def run(self, inputs: int) -> Tally:
        """Check so many inputs, or up to the first difference."""
        while self.tally.inputs < inputs and not self.tally.differences:
            values = [self._maker.one() for _ in range(min(_BATCH, inputs - self.tally.inputs))]
            self.tally.inputs += len(values)
            for scanner in self._maker.random.sample(self._scanners, 2):
                self.check(scanner, values)
        return self.tally

    def check(self, scanner: Scanner, values: Sequence[bytes]) -> None:
        """Compare what is found in values with what is in them, all at once and some of them alone."""
        random = self._maker.random
        together: list[bytes | None] = [*values, None]
        self._compare(scanner, together, *self._found(scanner, together))
        for value in random.sample(values, min(len(values), _ALONE)):
            self._compare(scanner, [value], *self._found(scanner, [value]))

    def _found(self, scanner: Scanner, values: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], Scan]:
        random = self._maker.random
        rows = b"".join(value for value in values if value is not None)
        size = len(rows) + PADDING
        tight = random.random() < 0.7
        arena = self._memory.at_end(size, PADDING - REACH) if tight else self._memory.at_start(size)
        behind = (random.choice(_FILLERS) * REACH)[:REACH]
        arena[: len(rows) + REACH] = np.frombuffer(rows + behind, np.uint8)
        return arena, self._scan(scanner, arena, *spans(values))

    def _compare(
        self, scanner: Scanner, values: Sequence[bytes | None], arena: NDArray[np.uint8], found: Scan
    ) -> None:
        for row, value in enumerate(values):
            right = None if value is None else expected(value, scanner.fields)
            self.tally.checks += 1
            self.tally.valid += right is not None
            if found.flagged[row]:
                self.tally.flagged_valid += right is not None
                wrong = _differences(
                    Expected(0, 0, (None,) * len(scanner.fields)), scanner.fields, arena, found, row
                )
            elif right is None:
                wrong = ["not flagged"]
            else:
                wrong = _differences(right, scanner.fields, arena, found, row)
            self.tally.differences += [f"{one} in {value!r}" for one in wrong]


def _differences(
    right: Expected, fields: Sequence[JsonField], arena: NDArray[np.uint8], found: Scan, row: int
) -> list[str]:
    wrong = []
    if int(found.present[row]) != right.present:
        wrong.append(f"present {int(found.present[row]):b}, not {right.present:b}")
    if int(found.other[row]) != right.other:
        wrong.append(f"other {int(found.other[row]):b}, not {right.other:b}")
    for number, (one, value) in enumerate(zip(fields, right.values, strict=True)):
        got = _value(found, one, number, arena, row)
        if _bits(got) != _bits(value, one):
            wrong.append(f"{'.'.join(one.path)} as {one.type}: {got!r}, not {value!r}")
    return wrong


def _value(found: Scan, one: JsonField, number: int, arena: NDArray[np.uint8], row: int) -> object:
    if one.type == "text":
        at, size = found.text(number)
        return None if size[row] == -1 else arena[at[row] : at[row] + size[row]].tobytes()
    if one.type == "flag":
        return bool(found.flag(number)[row])
    if one.type == "integer":
        return int(found.integer(number)[row])
    return float(found.number(number)[row])


def _bits(value: object, one: JsonField | None = None) -> object:
    """What two values have in common that are the same to the last bit; None is what a column has for it."""
    if value is None and one is not None and one.type != "text":
        value = {"flag": False, "integer": 0}.get(one.type, math.nan)
    return struct.pack("d", value) if isinstance(value, float) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 where there is a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", nargs="?", type=int, default=1_000_000)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    tally = Fuzzer(given.seed, real=real_lines()).run(given.inputs)
    for difference in tally.differences[:10]:
        print(difference)
    print(
        f"{tally.inputs} inputs, {tally.checks} checks, {tally.valid} of valid rows, "
        f"of which {tally.flagged_valid} flagged; {len(tally.differences)} differences, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
