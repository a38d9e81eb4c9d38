"""The compiled configuration, shared by all tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from alerts.rules import Rule
from detectors.detector_settings import DetectorSettings
from detectors.features import LogFeature
from streamer.config.errors import Problem
from streamer.decoding.formats import DecodeContext, Format
from streamer.pipeline.drift_plan import DriftPlan


@dataclass(frozen=True, slots=True)
class Feed:
    """How the records of matching topics or files are read.

    Parameters
    ----------
    match
        A glob over topic or file names.
    format
        Turns records into events.
    venue
        The venue of events that name none.
    ignored
        Records that are only counted, see `streamer.decoding.ignored_records`.
    """

    match: str
    format: Format
    venue: str | None
    ignored: frozenset[str] = frozenset()

    def context(self, topic: str, source: int = 0) -> DecodeContext:
        """The origin of the records of a topic or file that matches; `source` is its place in its log."""
        return DecodeContext(_without_folders(topic), self.venue, source, self.ignored)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a task computes.

    Parameters
    ----------
    config_hash
        The hash of `document`, as in alerts.
    document
        The detect part of the configuration as canonical JSON; the plan can be compiled from it.
    feeds
        Formats by topic or file; the first match applies.
    features
        Every feature that a detector, a rule or a drift watch uses, in order of first use.
    log_features
        Those of the whole log that a rule uses.
    detectors
        By name, in configuration order.
    rules
        In order: the catalogue's, then the configuration's own.
    inactive
        Rules that can never be evaluated, with the fields that no feed provides.
    max_ahead_ns
        How far an event may be past both the watermark and its record's timestamp.
    max_instruments
        Instruments per task at most.
    forget_after_ns
        How long an instrument must be unseen to give up its place to a further one, ns; 0 for never.
    flood
        Dead letters of one reason and minute that are kept individually.
    drift
        What is watched for drift.
    warnings
        What is valid, but hardly meant; no part of what is computed.
    """

    config_hash: str
    document: str
    feeds: tuple[Feed, ...]
    features: tuple[str, ...]
    log_features: tuple[LogFeature, ...]
    detectors: Mapping[str, DetectorSettings]
    rules: tuple[Rule, ...]
    inactive: Mapping[str, tuple[str, ...]]
    max_ahead_ns: int
    max_instruments: int
    forget_after_ns: int
    flood: int
    drift: DriftPlan
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    def feed(self, topic: str) -> Feed | None:
        """How a topic or file is read, None if nothing matches; a file's folders do not count."""
        name = _without_folders(topic)
        for feed in self.feeds:
            if fnmatchcase(name, feed.match):
                return feed
        return None


def _without_folders(name: str) -> str:
    """A topic's name, or a file's without the folders that tell it from another of its name."""
    return name.rpartition("/")[2]
