"""Problems of a configuration file, each with its place in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamer.errors import UsageError

Path = tuple[str | int, ...]
"""Where something is in the configuration: keys, and list positions from 0."""


def render_path(path: Path) -> str:
    """A path as people write it.

    Examples
    --------
    >>> render_path(("source", "topics", 0, "format"))
    'source.topics[0].format'
    """
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(f".{step}" if parts else step)
    return "".join(parts)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` where one of `choices` is close to `word`, else an empty string.

    Examples
    --------
    >>> did_you_mean("critcal", ["info", "warning", "critical"])
    " (did you mean 'critical'?)"
    >>> did_you_mean("xyz", ["info"])
    ''
    """
    known = sorted(set(choices))
    folded = {choice.casefold(): choice for choice in reversed(known)}
    found = difflib.get_close_matches(word.casefold(), sorted(folded), n=1, cutoff=0.6)
    return f" (did you mean '{folded[found[0]]}'?)" if found else ""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, and where.

    Parameters
    ----------
    file
        The configuration file as it was named.
    line, column
        From 1; 0 where the problem has no place in the text (a file that cannot be read).
    path
        The setting's path, such as ``rules.fat_finger.severity``; empty for the file as a whole.
    message
        What is wrong, in words.

    Examples
    --------
    >>> print(Problem("tape.yaml", 7, 15, "rules.x.for", "'3 off 5' is neither 'm of n' nor a duration"))
    tape.yaml:7:15: rules.x.for: '3 off 5' is neither 'm of n' nor a duration
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(UsageError):
    """A configuration that cannot be used.

    Parameters
    ----------
    problems
        At least one; kept sorted by their place in the file, each once.

    Examples
    --------
    >>> print(ConfigError([Problem("t.yaml", 2, 1, "b", "second"), Problem("t.yaml", 1, 1, "a", "first")]))
    t.yaml:1:1: a: first
    t.yaml:2:1: b: second
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
