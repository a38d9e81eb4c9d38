"""Standard output and standard error as they may be: full, closed, or of a character set that lacks some."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from streamer.cli.plain_lines import say_plainly

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextmanager
def whole_output() -> Iterator[None]:
    """Run a command; what cannot be written to standard output is told in one line, with exit code 1.

    What its character set lacks is written by its number.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):  # None where the process was started without one
        yield
        return
    descriptor = _Descriptor(sys.stdout.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(descriptor),
        encoding=sys.stdout.encoding,
        errors="backslashreplace",
        line_buffering=sys.stdout.line_buffering,
        write_through=sys.stdout.write_through,
    )
    try:
        yield
    except (SystemExit, OSError) as error:
        problem = _unwritten(sys.stdout, descriptor)
        if problem is None:
            raise
        if not isinstance(problem, BrokenPipeError):
            say_plainly(f"cannot write to standard output: {problem.strerror}")
        elif not isinstance(error, SystemExit):
            raise
        code = error.code if isinstance(error, SystemExit) else None
        raise SystemExit(code or not isinstance(problem, BrokenPipeError)) from error


def _unwritten(output: TextIO, descriptor: _Descriptor) -> OSError | None:
    """Why what was printed cannot be written, None where it is; then nothing else is written there."""
    with suppress(OSError):
        output.flush()
    if descriptor.problem is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor.fileno())
    return descriptor.problem


class _Descriptor(io.FileIO):
    """Remembers why it could not be written to: an error does not say whose it is."""

    problem: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.problem = error
            raise
