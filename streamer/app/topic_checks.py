"""Reads a sample of each topic as the configuration says, and tells whether it makes sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from streamer.app.at_once import at_once
from streamer.app.sampled_events import SampledEvents, decode_sample
from streamer.app.sampled_prices import OddPrices, odd_prices
from streamer.config.file import ConfigFile
from streamer.errors import TapewatchError
from streamer.messages.batch import Instrument
from streamer.pipeline.plan import Plan
from streamer.pipeline.rule_logs import LogFields
from streamer.sources.kafka.cluster_survey import survey
from streamer.sources.kafka.kafka_settings import KafkaSettings
from streamer.sources.kafka.topic_sample import SampledTopic, look_at

SAMPLE = 200
"""How many records of each topic are read."""

_WITHIN_S = 60.0  # for all topics
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class TopicCheck:
    """What the newest records of one topic say.

    Parameters
    ----------
    topic, partitions
        Its name, and how many partitions it has.
    said
        What the sample holds, or the first mistake.
    problems
        What keeps it from being read as the configuration means it, each with cause and remedy.
    notes
        What may be meant.
    fields
        Kinds and fields of the sampled events; None where there are none.
    place
        Where the file says how it is read, as ``file:line:column``.
    dead
        How many of the records are dead letters.
    instruments
        The instruments of the sampled events, by partition.
    """

    topic: str
    partitions: int
    said: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fields: LogFields | None = None
    place: str = ""
    dead: int = 0
    instruments: Mapping[int, frozenset[Instrument]] = field(default_factory=dict)


def check_topics(config: ConfigFile, plan: Plan, environ: Mapping[str, str]) -> list[TopicCheck]:
    """Sample every topic that the configuration matches; offsets stay where they are.

    Parameters
    ----------
    config, plan
        The configuration, and its plan.
    environ
        Environment variables, for secrets.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached, or nothing matches.
    """
    kafka = config.settings.source.kafka
    if kafka is None:
        return []
    source = config.settings.source
    globs = [glob for topic in source.topics for glob in topic.globs]
    joined = [topic for join in source.joins for topic in join.topics]
    surveyed = survey(kafka, list(dict.fromkeys((*globs, *joined))), environ)
    partitions = surveyed.partitions
    looked = at_once({topic: _look(kafka, topic, environ) for topic in partitions}, _WITHIN_S, _AT_ONCE)
    decoded = {
        topic: decode_sample(plan, topic, found)
        for topic, found in looked.items()
        if isinstance(found, SampledTopic)
    }
    odd = odd_prices(decoded)
    checks = []
    for topic, count in partitions.items():
        check = _checked(topic, count, looked[topic], decoded.get(topic))
        off = odd.get(topic, OddPrices())
        check = replace(check, problems=check.problems + off.problems, notes=check.notes + off.notes)
        checks.append(replace(check, place=_place(config, topic)))
    return checks + [
        TopicCheck(topic, 0, "missing", (problem,), place=_place(config, topic))
        for topic, problem in surveyed.missing.items()
    ]


def _look(kafka: KafkaSettings, topic: str, environ: Mapping[str, str]) -> Callable[[], SampledTopic]:
    return lambda: look_at(kafka, topic, SAMPLE, environ)


def _checked(
    topic: str, partitions: int, looked: SampledTopic | Exception, events: SampledEvents | None
) -> TopicCheck:
    if isinstance(looked, SampledTopic) and events is not None:
        problems, notes = (*looked.problems, *events.problems), (*events.notes, *looked.notes)
        return TopicCheck(
            topic,
            partitions,
            events.said,
            problems,
            notes,
            events.fields,
            dead=events.dead,
            instruments=events.instruments,
        )
    if isinstance(looked, TapewatchError | TimeoutError):
        return TopicCheck(topic, partitions, "not read", (str(looked),))
    raise looked  # type: ignore[misc]  # what is no sample is an exception


def _place(config: ConfigFile, topic: str) -> str:
    for number, entry in enumerate(config.settings.source.topics):
        if any(fnmatchcase(topic, glob) for glob in entry.globs):
            found = config.key_problem(("source", "topics", number, "format"), "")
            return f"{found.file}:{found.line}:{found.column}"
    return config.path
