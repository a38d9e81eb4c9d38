"""The whole configuration as frozen models; the settings of each part are defined beside that part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from alerts.durations import duration_ns, duration_s
from alerts.receivers.registry import ReceiverSettings
from alerts.rule_settings import RulesSettings
from alerts.severity import Severity
from alerts.stages.route import RouteSettings
from detectors.detector_settings import DetectorSettings
from streamer.config.keep_settings import KeepSettings
from streamer.config.serve_settings import ServeSettings
from streamer.notify.heartbeat_settings import HeartbeatSettings
from streamer.sources.files.file_settings import FileSourceSettings
from streamer.sources.join_settings import JoinSettings, JoinsSetting, joins_of, wait_ns
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


def _forget_after(value: str) -> str:
    try:
        return value if value == "never" else _between("1m", "1000d", value)
    except ValueError:
        raise ValueError(f"'{value}' is neither never nor a duration between 1m and 1000d") from None


def _stuck_after(value: str) -> str:
    return _between("2s", "1h", value)


def _join_wait(value: str) -> str:
    wait_ns(value)
    return value


def _checkpoint_every(value: str) -> str:
    return _between("1s", "1h", value)


def _late_after(value: str) -> str:
    return _between("1s", "1000d", value)


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
        How to connect to Kafka.
    topics
        Which topics to read, and how to decode their records; the first match decides.
    files
        The same for files, by their names without folders.
    join
        Topics, or files, that are folded as one log: a list of names, or a list of such lists.
    join_wait
        How long a joined log waits for a topic that it has read to its end before it goes on without it.
    """

    kafka: KafkaSettings | None = None
    topics: tuple[TopicSettings, ...] = ()
    files: tuple[FileSourceSettings, ...] = ()
    join: JoinsSetting = ()
    join_wait: Annotated[str, AfterValidator(_join_wait)] = "500ms"

    @property
    def joins(self) -> tuple[JoinSettings, ...]:
        """The joins, whichever way `join` is written.

        Examples
        --------
        >>> SourceSettings(join=("trades", "orders")).joins[0].name
        'trades+orders'
        """
        return tuple(join for _, join in joins_of(self.join))

    @property
    def join_wait_ns(self) -> int:
        """`join_wait` in ns."""
        return wait_ns(self.join_wait)


class EngineSettings(_Section):
    """How detection runs.

    Parameters
    ----------
    batch_size
        Records processed at a time; results do not depend on it.
    ticks
        Interval of the timer events that reveal silence while nothing arrives; ``off`` for none.
    max_ahead
        An event further ahead of both its record's timestamp and all other events is a dead letter.
    max_instruments
        Limit of instruments per partition. A further one takes the place of the one unseen for longest, if
        that was unseen for `forget_after`; else its events are dead letters.
    forget_after
        How long, in event time, an instrument must be unseen to give up its place to a further one; all that
        was learnt of it is forgotten then. ``never`` for no one.
    flood
        Dead letters per reason and minute that are kept individually; further ones are only counted.
    stuck_after
        The daemon ends, to be started again, once detection has finished nothing for this long: no batch, no
        call of a model. The broker and the disk have five minutes, or this long if that is more.
    """

    batch_size: int = Field(default=10_000, ge=1, le=100_000, strict=True)
    ticks: Annotated[str, AfterValidator(_timer_interval)] = "1s"
    max_ahead: Annotated[str, AfterValidator(_max_ahead)] = "1m"
    max_instruments: int = Field(default=10_000, ge=1, le=1_000_000, strict=True)
    forget_after: Annotated[str, AfterValidator(_forget_after)] = "7d"
    flood: int = Field(default=100, ge=1, le=1_000_000, strict=True)
    stuck_after: Annotated[str, AfterValidator(_stuck_after)] = "60s"

    @property
    def timer_every_ns(self) -> int | None:
        """Time between timers in ns, None for no timers."""
        return None if self.ticks == "off" else duration_ns(self.ticks)

    @property
    def stuck_after_s(self) -> float:
        """`stuck_after` in seconds."""
        return duration_s(self.stuck_after)

    @property
    def forget_after_ns(self) -> int:
        """`forget_after` in ns, 0 for never."""
        return 0 if self.forget_after == "never" else duration_ns(self.forget_after)

    @property
    def max_ahead_ns(self) -> int:
        """`max_ahead` in ns."""
        return duration_ns(self.max_ahead)


class DriftSettings(_Section):
    """What is watched for drift, a lasting change of what is usual.

    Parameters
    ----------
    watch
        Features, detectors' scores (``tape.score``), and ``alert_rate``.
    per_instrument
        Watch each instrument separately, instead of all instruments of a partition together.
    severity
        Severity of the alerts, whose rule is called ``drift``.
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
    """How much of the journal is kept: ``all`` (for `record` and audits), or from the last checkpoint on."""

    keep: Literal["all", "checkpoint"] = "checkpoint"


class NearMissSettings(_Section):
    """How long near misses are kept: conditions that were true but raised no alert.

    Parameters
    ----------
    keep
        For how long after they were stored.
    at_most
        How many of all rules together; the newest are kept.
    """

    keep: Annotated[str, AfterValidator(_near_misses_keep)] = "30d"
    at_most: int = Field(default=50_000, ge=0, le=10_000_000, strict=True)

    @property
    def keep_s(self) -> int:
        """`keep` in seconds."""
        return duration_s(self.keep)


class CheckpointSettings(_Section):
    """How often checkpoints of the state are written."""

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
        Detectors by the name that rules use.
    rules
        Sets of the catalogue to extend, and rules by name.
    drift
        What is watched for drift.
    receivers
        Receivers by name.
    route
        Which alerts go to which receivers.
    late_after
        An alert is late if its log had records this much newer than its own when it was read; live ones are
        sent before late ones.
    heartbeat
        Which receivers get a regular sign of life, and how often; none without it.
    serve
        Where metrics and health are served.
    keep
        How long the store keeps alerts, decisions, deliveries and dead letters.
    near_misses
        How long near misses are kept.
    engine, journal, checkpoint, log
        How the service runs; the defaults suit most installations.

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
    late_after: Annotated[str, AfterValidator(_late_after)] = "5m"
    heartbeat: HeartbeatSettings | None = None
    serve: Annotated[ServeSettings, BeforeValidator(_empty_means_defaults)] = ServeSettings()
    engine: Annotated[EngineSettings, BeforeValidator(_empty_means_defaults)] = EngineSettings()
    journal: Annotated[JournalSettings, BeforeValidator(_empty_means_defaults)] = JournalSettings()
    keep: Annotated[KeepSettings, BeforeValidator(_empty_means_defaults)] = KeepSettings()
    near_misses: Annotated[NearMissSettings, BeforeValidator(_empty_means_defaults)] = NearMissSettings()
    checkpoint: Annotated[CheckpointSettings, BeforeValidator(_empty_means_defaults)] = CheckpointSettings()
    log: Annotated[LogSettings, BeforeValidator(_empty_means_defaults)] = LogSettings()

    @property
    def late_after_s(self) -> float:
        """`late_after` in seconds."""
        return duration_s(self.late_after)
