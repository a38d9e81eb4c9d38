"""Which log each file belongs to, and under which name its events are told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from operator import itemgetter
from pathlib import Path, PurePosixPath

from streamer.errors import UsageError
from streamer.messages.logs import Log
from streamer.messages.records import Partition
from streamer.sources.files.file_records import FileInput
from streamer.sources.files.file_settings import FileSourceSettings

INCARNATION = "file"
"""The `incarnation` of a file's partition, which tells it from a topic of the same name."""

_NAMED_MOST = 4  # a log of more files is named by the first


def file_inputs(
    paths: Sequence[Path],
    settings: Sequence[FileSourceSettings],
    joins: Sequence[Sequence[str]] = (),
) -> list[FileInput]:
    """The files, each with its name, its log, and the receive time of the first settings that match it.

    All are one log, in the order in which they are given, but for those that a join names, in the join's
    order, and those whose settings say ``logs: each``.

    Parameters
    ----------
    paths
        The files.
    settings
        How files are read.
    joins
        What is joined: names of files, with folders where these tell them apart, or the `match` of settings.

    Raises
    ------
    UsageError
        When no settings match a file, or one is given twice.

    Examples
    --------
    >>> named = FileSourceSettings(match="*.gz", format="binance", receive_time="ns")
    >>> [file] = file_inputs([Path("data/a.gz")], [named])
    >>> file.name, file.receive_time
    ('a.gz', 'ns')
    >>> [file.name for file in file_inputs([Path("x/1/a.gz"), Path("x/2/a.gz")], [named])]
    ['1/a.gz', '2/a.gz']
    """
    inputs: dict[str, list[tuple[int, FileInput]]] = {}
    for path, name in zip(paths, _names(paths), strict=True):
        entry = _entry(path, settings)
        topic = name if name != path.name else ""
        place, log = _join(path, name, entry, joins) or (0, name if entry.logs == "each" else "")
        inputs.setdefault(log, []).append((place, FileInput(path, entry.receive_time, topic, log)))
    return [file for of in inputs.values() for _, file in sorted(of, key=itemgetter(0))]


def file_log(files: Sequence[FileInput]) -> Log:
    """The log of files that belong together.

    Examples
    --------
    >>> str(file_log([FileInput(Path("h1.jsonl")), FileInput(Path("h2.jsonl"))]))
    'h1.jsonl+h2.jsonl[0]'
    >>> str(file_log([FileInput(Path(f"h{number}.jsonl")) for number in range(24)]))
    'h0.jsonl and 23 others[0]'
    """
    members = [Partition(file.name, INCARNATION, 0) for file in files]
    if len(files) == 1:
        return Log.of(members[0])
    topics = [file.name for file in files]
    if len(topics) > _NAMED_MOST:
        topics = [f"{topics[0]} and {len(topics) - 1} others"]
    return Log.joined(topics, 0, members)


def unmatched_joins(
    paths: Sequence[Path], settings: Sequence[FileSourceSettings], joins: Sequence[Sequence[str]]
) -> list[str]:
    """Which joins have only some of their files among those that are given, for people.

    Parameters
    ----------
    paths, settings, joins
        As for `file_inputs`.

    Examples
    --------
    >>> every = [FileSourceSettings(match="*", format="tapewatch")]
    >>> joins = [["a.jsonl", "b.jsonl"], ["c.jsonl", "d.jsonl"]]
    >>> print(*unmatched_joins([Path("a.jsonl")], every, joins))
    the join of a.jsonl, b.jsonl: no file is given that is b.jsonl; it goes on without it
    """
    given = [(path, name, _entry(path, settings)) for path, name in zip(paths, _names(paths), strict=True)]
    told = []
    for names in joins:
        missing = [name for name in names if not any(_is_named(*each, name) for each in given)]
        if 0 < len(missing) < len(names):
            which, them = " or ".join(missing), "it" if len(missing) == 1 else "them"
            told.append(
                f"the join of {', '.join(names)}: no file is given that is {which}; it goes on without {them}"
            )
    return told


def _entry(path: Path, settings: Sequence[FileSourceSettings]) -> FileSourceSettings:
    entry = next((entry for entry in settings if entry.matches(path.name)), None)
    if entry is None:
        raise UsageError(
            f"no entry of source.files matches {path.name!r}: add one that says how to read it, "
            "or give --format"
        )
    return entry


def _join(
    path: Path, told_as: str, entry: FileSourceSettings, joins: Sequence[Sequence[str]]
) -> tuple[int, str] | None:
    """A file's place in the join that names it, or its settings, and the join's log; None if none does."""
    for names in joins:
        for place, name in enumerate(names):
            if _is_named(path, told_as, entry, name):
                return place, "+".join(names)
    return None


def _is_named(path: Path, told_as: str, entry: FileSourceSettings, name: str) -> bool:
    """Whether a name in a join is a file's, with or without folders, or that of its settings."""
    if name == entry.match or any(fnmatchcase(each, name) for each in (path.name, told_as)):
        return True
    return "/" in name and PurePosixPath(os.path.abspath(path)).match(name)  # noqa: PTH100  # links stay


def _names(paths: Sequence[Path]) -> list[str]:
    """The name of each file: without folders, or with as many as tell it from others of the same name."""
    real: dict[Path, Path] = {}
    alike: dict[str, list[int]] = {}
    for number, path in enumerate(paths):
        resolved = path.resolve()
        if (other := real.get(resolved)) is not None:
            raise UsageError(
                f"{other} is given twice: its events would count twice"
                if other == path
                else f"{other} and {path} are one file: its events would count twice"
            )
        real[resolved] = path
        alike.setdefault(path.name, []).append(number)
    names = [path.name for path in paths]
    for numbers in alike.values():
        given = [PurePosixPath(os.path.normpath(paths[number])).parts for number in numbers]
        if len(set(given)) < len(given):  # a folder is a link, and its parent another than it seems
            given = [paths[number].resolve().parts for number in numbers]
        folders = 0
        while len({names[number] for number in numbers}) < len(numbers):
            folders += 1
            for number, parts in zip(numbers, given, strict=True):
                names[number] = str(PurePosixPath(*parts[-1 - folders :]))
    return names
