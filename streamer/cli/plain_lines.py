"""Lines on stdout and stderr without loading what draws tables; escaped as everywhere."""

from __future__ import annotations

import sys

from alerts.plain_text import one_line


def out_line(text: str) -> None:
    """Print a result on stdout, whatever it was told, as one line."""
    sys.stdout.write(one_line(text) + "\n")


def say_plainly(*lines: str) -> None:
    """Print messages on stderr, one a line."""
    for line in lines:
        sys.stderr.write(one_line(line) + "\n")
