"""Checks that what is joined is read, each topic or file in one join."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from alerts.suggestions import did_you_mean
from streamer.config.errors import Path, Problem
from streamer.config.file import ConfigFile
from streamer.config.settings import SourceSettings
from streamer.sources.join_settings import JoinSettings, is_pattern, joins_of

_JOIN: Path = ("source", "join")


def check_joins(config: ConfigFile) -> Iterator[Problem]:
    """What keeps the joins of a configuration from being read as they are written."""
    source = config.settings.source
    taken: dict[str, str] = {}
    for below, join in joins_of(source.join):
        path: Path = (*_JOIN, *below)
        sections = {name: _section(name, source) for name in join.topics}
        for name, section in sections.items():
            problem = _problem(name, section, source) or _elsewhere(name, taken)
            if problem:
                yield config.problem(path, problem)
        yield from _of_one_kind(config, path, join, sections)
        taken |= dict.fromkeys(join.topics, join.name)


def check_unused_wait(config: ConfigFile) -> Iterator[Problem]:
    """A `join_wait` where nothing is joined."""
    source = config.settings.source
    if "join_wait" in source.model_fields_set and not source.joins:
        yield config.key_problem(("source", "join_wait"), "it has no effect: give source.join")


def _section(name: str, source: SourceSettings) -> str:
    """Which section reads what has this name; empty for none."""
    if any(fnmatchcase(name, glob) for topic in source.topics for glob in topic.globs):
        return "topics"
    if any(name == file.match or file.matches(PurePosixPath(name).name) for file in source.files):
        return "files"
    return ""


def _problem(name: str, section: str, source: SourceSettings) -> str:
    if section == "files" or not (is_pattern(name) or not section):
        return ""
    if is_pattern(name) and not any(name == file.match for file in source.files):
        return (
            f"'{name}' is a pattern, and a join names each topic: their order decides which of two records "
            "of one time is folded first"
        )
    known = [glob for topic in source.topics for glob in topic.globs] + [file.match for file in source.files]
    suggestion = did_you_mean(name, known)
    return f"no entry of source.topics or source.files reads '{name}'{suggestion}"


def _elsewhere(name: str, taken: dict[str, str]) -> str:
    return f"'{name}' is already joined in {taken[name]}: a topic stands in one log" if name in taken else ""


def _of_one_kind(
    config: ConfigFile, path: Path, join: JoinSettings, sections: dict[str, str]
) -> Iterator[Problem]:
    files = [name for name, section in sections.items() if section == "files"]
    topics = [name for name, section in sections.items() if section == "topics"]
    if files and topics:
        yield config.problem(path, f"'{files[-1]}' is a file and {topics[0]} a topic: join one kind")
    elif files and join.partitions == "all":
        yield config.problem(path[:-1], "files have no partitions: leave out partitions")
