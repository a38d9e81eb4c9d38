"""Problems of a configuration file, with their positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alerts.suggestions import closest
from streamer.errors import UsageError

MAX_PROBLEMS = 100
"""Problems of a file that are shown; nobody reads more before mending these."""

Path = tuple[str | int, ...]
"""The path of a setting: keys, and list positions from 0."""


def render_path(path: Path) -> str:
    """A path in the usual notation.

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
    """` (did you mean 'x'?)` if one of `choices` is close to `word` in any case, else an empty string.

    Examples
    --------
    >>> did_you_mean("critcal", ["info", "warning", "critical"])
    " (did you mean 'critical'?)"
    >>> did_you_mean("xyz", ["info"])
    ''
    """
    folded = {choice.casefold(): choice for choice in sorted(set(choices), reverse=True)}
    match = closest(word.casefold(), folded)
    return "" if match is None else f" (did you mean '{folded[match]}'?)"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem, and where it is.

    Parameters
    ----------
    file
        The configuration file, as the user named it.
    line, column
        From 1; 0 if the problem has no place in the text (a file that cannot be read).
    path
        The setting's path, such as ``rules.fat_finger.severity``; empty for the file as a whole.
    message
        What is wrong.

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
        At least one; kept sorted by position and without duplicates.
    more
        How many others there are, beside these.

    Examples
    --------
    >>> print(ConfigError([Problem("t.yaml", 2, 1, "b", "second"), Problem("t.yaml", 1, 1, "a", "first")]))
    t.yaml:1:1: a: first
    t.yaml:2:1: b: second
    """

    def __init__(self, problems: Sequence[Problem], more: int = 0) -> None:
        distinct = tuple(sorted(set(problems)))
        self.problems: tuple[Problem, ...] = distinct[:MAX_PROBLEMS]
        more += len(distinct) - len(self.problems)
        lines = [str(problem) for problem in self.problems]
        if more:
            lines.append(f"… and {more:,} more {'problem' if more == 1 else 'problems'}")
        super().__init__(*lines)
