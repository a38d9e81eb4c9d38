"""Every kind of receiver. A new one is a new file, which sets `RECEIVER`, and its name here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from alerts.clock import Clock
from alerts.receivers.kind import MOST_PARALLEL, USUAL_PARALLEL, KindSettings, Probed, ReceiverKind
from alerts.receivers.receiver import Receiver
from alerts.secrets import Resolve
from alerts.stages.cap import CapText, cap_per_minute

_FILES = (
    "slack",
    "webhook",
    "console",
    "file",
)

RECEIVERS: Mapping[str, ReceiverKind] = MappingProxyType(
    {name: import_module(f"{__package__}.{name}").RECEIVER for name in _FILES}
)
"""By kind, the key in the configuration."""


class ReceiverChoice(BaseModel):
    """One receiver of the configuration: exactly one kind with its settings, a cap, and how many at a time.

    Parameters
    ----------
    cap
        Messages a minute, ``20/m``, or ``off``. Alerts beyond it wait up to a minute, and one message then
        stands for them. Critical ones do not count, up to 30 a minute or the cap, if that is higher. The
        default is that of the kind: 20 a minute, and no cap for a file.
    parallel
        Deliveries that may be on their way at once, 4 by default; a file and a console take one at a time.
        Transitions of one alert never overtake each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cap: CapText | None = None
    parallel: Annotated[int, Field(ge=1, le=MOST_PARALLEL)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _empty_means_defaults(cls, value: Any) -> Any:
        # `console:` with nothing after it reads as null; it is the kind without any settings
        if not isinstance(value, dict):
            return value
        return {
            key: {} if part is None and key in RECEIVERS and not _has_settings(key) else part
            for key, part in value.items()
        }

    @model_validator(mode="after")
    def _exactly_one(self) -> ReceiverChoice:
        if sum(getattr(self, kind) is not None for kind in RECEIVERS) != 1:
            raise ValueError(f"a receiver is exactly one of {', '.join(sorted(RECEIVERS))}")
        most = RECEIVERS[self.kind].most_parallel
        if self.parallel is not None and self.parallel > most:
            raise ValueError(f"a {self.kind} takes {most} delivery at a time; leave `parallel` out")
        return self

    @property
    def at_once(self) -> int:
        """`parallel`, or what is usual for the kind.

        Examples
        --------
        >>> ReceiverSettings.model_validate({"console": {}}).at_once
        1
        """
        return min(self.parallel or USUAL_PARALLEL, RECEIVERS[self.kind].most_parallel)

    @property
    def kind(self) -> str:
        """The kind, a key of `RECEIVERS`."""
        return next(kind for kind in RECEIVERS if getattr(self, kind) is not None)

    @property
    def of_kind(self) -> KindSettings:
        """The settings of that kind."""
        settings: KindSettings = getattr(self, self.kind)
        return settings

    @property
    def messages_per_minute(self) -> int | None:
        """`cap` as a number, or the kind's usual one; None for no cap.

        Examples
        --------
        >>> ReceiverSettings.model_validate({"console": {}}).messages_per_minute
        20
        """
        return RECEIVERS[self.kind].usual_cap if self.cap is None else cap_per_minute(self.cap)

    @property
    def edits_per_minute(self) -> int | None:
        """How many of its messages it can edit in a minute, None where it cannot.

        Examples
        --------
        >>> ReceiverSettings.model_validate({"console": {}}).edits_per_minute is None
        True
        """
        return RECEIVERS[self.kind].edits(self.of_kind)


def _has_settings(kind: str) -> bool:
    return bool(RECEIVERS[kind].settings.model_fields)


if TYPE_CHECKING:
    ReceiverSettings = ReceiverChoice
else:
    ReceiverSettings = create_model(
        "ReceiverSettings",
        __base__=ReceiverChoice,
        __module__=__name__,
        __doc__=ReceiverChoice.__doc__,
        **{kind: (entry.settings | None, None) for kind, entry in RECEIVERS.items()},
    )


def build_receiver(name: str, settings: ReceiverSettings, resolve: Resolve, clock: Clock) -> Receiver:
    """Build the receiver that a part of the configuration describes.

    Parameters
    ----------
    name
        Its name in the configuration.
    settings
        Its settings.
    resolve
        Gives the value of a secret.
    clock
        Wall-clock time.

    Raises
    ------
    SecretError
        When a secret is missing or malformed.
    ReceiverError
        When it cannot work as it is configured.

    Examples
    --------
    >>> class Stopped:
    ...     def now(self): return 0.0
    >>> tty = ReceiverSettings.model_validate({"console": {}})
    >>> type(build_receiver("tty", tty, lambda secret: "", Stopped())).__name__
    'ConsoleReceiver'
    """
    return RECEIVERS[settings.kind].build(name, settings.of_kind, resolve, clock)


def probe_receiver(name: str, settings: ReceiverSettings, resolve: Resolve, clock: Clock) -> Probed:
    """Look whether the receiver that a part of the configuration describes could deliver; nothing is sent.

    Parameters
    ----------
    name, settings, resolve, clock
        As for `build_receiver`.

    Raises
    ------
    SecretError
        When a secret is missing or malformed.
    ReceiverError
        When it could not deliver, with the cause and the remedy.

    Examples
    --------
    >>> class Stopped:
    ...     def now(self): return 0.0
    >>> tty = ReceiverSettings.model_validate({"console": {}})
    >>> probe_receiver("tty", tty, lambda secret: "", Stopped()).found
    'standard error'
    """
    return RECEIVERS[settings.kind].probe(name, settings.of_kind, resolve, clock)
