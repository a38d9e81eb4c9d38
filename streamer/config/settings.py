"""The whole configuration as frozen models; each part's own settings live beside that part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from alerts.durations import duration_ns, duration_s
from alerts.receivers.registry import ReceiverSettings
from alerts.routing import RouteSettings
from alerts.rule_settings import RulesSettings
from alerts.severity import Severity
from detectors.detector_settings import DetectorSettings
from streamer.config.serve_settings import ServeSettings
from streamer.notify.heartbeat_settings import HeartbeatSettings
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.kafka.kafka_settings import KafkaSettings, TopicSettings


def _between(low: str, high: str, value: str) -> str:
    if not duration_ns(low) <= duration_ns(value) <= duration_ns(high):
        raise ValueError(f"'{value}' is not between {low} and {high}")
    return value


def _max_ahead(value: str) -> str:
    return _between("1s", "1d", value)


def _timer_interval(value: str) -> str:
    try:
        return value if value == "off" else _between("1s", "1h", value)
    except ValueError:
        raise ValueError(f"'{value}' is neither off nor a duration between 1s and 1h") from None


def _checkpoint_every(value: str) -> str:
    return _between("1s", "1h", value)


def _near_misses_keep(value: str) -> str:
    return _between("1m", "1000d", value)


def _name(text: str) -> str:
    if not text.isascii() or not text.replace("-", "_").isidentifier():
        raise ValueError(f"'{text}' is not a name: a letter, then letters, digits, _ and -")
    return text


def _detector_name(text: str) -> str:
    if not text.isascii() or not text.isidentifier():
        raise ValueError(f"'{text}' cannot be named in a rule: a letter, then letters, digits and _")
    return text


def _empty_means_defaults(value: object) -> object:
    return {} if value is None else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(_Section):
    """Where events come from: Kafka topics, files, or both (a file is for `replay` and `publish`).

    Parameters
    ----------
    kafka
        How to reach the broker.
    topics
        Which topics, and how their records are read; the first match decides.
    files
        The same for files, by their names without folders.
    """

    kafka: KafkaSettings | None = None
    topics: tuple[TopicSettings, ...] = ()
    files: tuple[FileSourceSettings, ...] = ()


class EngineSettings(_Section):
    """How detection runs.

    Parameters
    ----------
    batch_size
        Records taken at a time; results do not depend on it.
    ticks
        How often a timer marks the time while nothing comes in, so that silence is noticed; ``off``: never.
    max_ahead
        An event further ahead of both its record's timestamp and all other events is a dead letter.
    max_instruments
        Instruments that one partition may have; events of more are dead letters.
    flood
        Dead letters of one reason in a minute that are kept one by one; more are kept as one row.
    """

    batch_size: int = Field(default=10_000, ge=1, le=100_000, strict=True)
    ticks: Annotated[str, AfterValidator(_timer_interval)] = "1s"
    max_ahead: Annotated[str, AfterValidator(_max_ahead)] = "1m"
    max_instruments: int = Field(default=10_000, ge=1, le=1_000_000, strict=True)
    flood: int = Field(default=100, ge=1, le=1_000_000, strict=True)

    @property
    def timer_every_ns(self) -> int | None:
        """Time between timers in ns, None for no timers."""
        return None if self.ticks == "off" else duration_ns(self.ticks)

    @property
    def max_ahead_ns(self) -> int:
        """`max_ahead` in ns."""
        return duration_ns(self.max_ahead)


class DriftSettings(_Section):
    """What is watched for drift: that what is usual has changed, and stays so.

    Parameters
    ----------
    watch
        Features, detectors' scores (``tape.score``), and ``alert_rate``.
    per_instrument
        Watch every instrument by itself, instead of all that a partition holds together.
    severity
        Of the alerts, whose rule is called ``drift``.
    """

    watch: tuple[str, ...] = ()
    per_instrument: bool = Field(default=False, strict=True)
    severity: Severity = "warning"

    @field_validator("watch")
    @classmethod
    def _each_name_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' is listed twice")
        return names


class JournalSettings(_Section):
    """What is kept of the journal: ``all`` (which `record` and audits need), or from a checkpoint on."""

    keep: Literal["all", "checkpoint"] = "checkpoint"


class NearMissSettings(_Section):
    """What is kept of conditions that were true and raised no alert.

    Parameters
    ----------
    keep
        For how long, from when they were written.
    at_most
        How many, the newest of all rules together.
    """

    keep: Annotated[str, AfterValidator(_near_misses_keep)] = "30d"
    at_most: int = Field(default=50_000, ge=0, le=10_000_000, strict=True)

    @property
    def keep_s(self) -> int:
        """`keep` in seconds."""
        return duration_s(self.keep)


class CheckpointSettings(_Section):
    """How often the state is written down."""

    every: Annotated[str, AfterValidator(_checkpoint_every)] = "10s"

    @property
    def every_ns(self) -> int:
        """`every` in ns."""
        return duration_ns(self.every)


class LogSettings(_Section):
    """The service's own log, on standard error."""

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section):
    """The whole configuration.

    Parameters
    ----------
    source
        Where events come from.
    store
        The database: a path, or an address such as ``sqlite:///tapewatch.db``.
    detectors
        By the name that rules call them.
    rules
        The catalogue's sets that are taken over, and rules by name.
    drift
        What is watched for drift.
    receivers
        By name.
    route
        Which alerts go to which receivers.
    heartbeat
        To whom, and how often, to say that all is at work; nobody without it.
    serve
        Where metrics and health can be had.
    near_misses
        What is kept of conditions that were true and raised no alert.
    engine, journal, checkpoint, log
        How the service runs; the defaults are meant to be kept.

    Examples
    --------
    >>> Settings.model_validate({"engine": {"ticks": "off"}}).engine.timer_every_ns is None
    True
    """

    source: Annotated[SourceSettings, BeforeValidator(_empty_means_defaults)] = SourceSettings()
    store: str = Field(default="tapewatch.db", min_length=1)
    detectors: Annotated[
        dict[Annotated[str, AfterValidator(_detector_name)], DetectorSettings],
        BeforeValidator(_empty_means_defaults),
    ] = Field(default_factory=dict)
    rules: Annotated[RulesSettings, BeforeValidator(_empty_means_defaults)] = RulesSettings()
    drift: Annotated[DriftSettings, BeforeValidator(_empty_means_defaults)] = DriftSettings()
    receivers: Annotated[
        dict[Annotated[str, AfterValidator(_name)], ReceiverSettings], BeforeValidator(_empty_means_defaults)
    ] = Field(default_factory=dict)
    route: Annotated[RouteSettings, BeforeValidator(_empty_means_defaults)] = RouteSettings()
    heartbeat: HeartbeatSettings | None = None
    serve: Annotated[ServeSettings, BeforeValidator(_empty_means_defaults)] = ServeSettings()
    engine: Annotated[EngineSettings, BeforeValidator(_empty_means_defaults)] = EngineSettings()
    journal: Annotated[JournalSettings, BeforeValidator(_empty_means_defaults)] = JournalSettings()
    near_misses: Annotated[NearMissSettings, BeforeValidator(_empty_means_defaults)] = NearMissSettings()
    checkpoint: Annotated[CheckpointSettings, BeforeValidator(_empty_means_defaults)] = CheckpointSettings()
    log: Annotated[LogSettings, BeforeValidator(_empty_means_defaults)] = LogSettings()
