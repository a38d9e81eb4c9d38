"""Lines on stdout and stderr without loading what draws tables; escaped as everywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from alerts.plain_text import one_line


def out_line(text: str) -> None:
    """Print a result on stdout, whatever it was told, as one line."""
    if sys.stdout is not None:  # None where the process was started without one
        sys.stdout.write(one_line(text) + "\n")


def say_plainly(*lines: str) -> None:
    """Print messages on stderr, one a line."""
    for line in lines:
        with telling():
            if sys.stderr is not None:  # None where the process was started without one
                sys.stderr.write(one_line(line) + "\n")


@contextmanager
def telling() -> Iterator[None]:
    """What cannot be written to stderr is for nobody: it changes neither the work nor the exit code."""
    try:
        yield
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
