"""Every kind of receiver there is, and how one is built."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

from alerts.clock import Clock
from alerts.receivers.receiver import Receiver
from alerts.receivers.settings import ReceiverSettings
from alerts.secrets import Resolve


class Factory(Protocol):
    """Builds a receiver from its part of the configuration."""

    def __call__(self, name: str, settings: Any, resolve: Resolve, clock: Clock) -> Receiver:
        """Build it; raises `SecretError` or `ReceiverError` where it could not work."""


def _loaded_when_built(kind: str) -> Factory:
    """The function of this name in the file of this name; its libraries are loaded where it is wanted."""

    def build(name: str, settings: Any, resolve: Resolve, clock: Clock) -> Receiver:
        factory: Factory = getattr(import_module(f"alerts.receivers.{kind}"), kind)
        return factory(name, settings, resolve, clock)

    return build


RECEIVERS: Mapping[str, Factory] = MappingProxyType(
    {kind: _loaded_when_built(kind) for kind in ("console", "file", "slack", "slack_webhook", "webhook")}
)
"""By kind; `ReceiverSettings.kind` is a key."""


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
        When a secret cannot be had or is not of the right form.
    ReceiverError
        When it cannot work as it is set up.

    Examples
    --------
    >>> from alerts.receivers.settings import ReceiverSettings
    >>> class Stopped:
    ...     def now(self): return 0.0
    >>> tty = ReceiverSettings.model_validate({"console": {}})
    >>> type(build_receiver("tty", tty, lambda secret: "", Stopped())).__name__
    'ConsoleReceiver'
    """
    return RECEIVERS[settings.kind](name, settings.of_kind, resolve, clock)
