"""How a receiver is registered: its key in the configuration, its settings, and its builder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from alerts.clock import Clock
from alerts.receivers.receiver import Receiver
from alerts.secrets import Resolve

USUAL_CAP = 20
"""Default messages a minute: more than a person reads, fewer than Slack's rate limit."""
USUAL_PARALLEL = 4
"""Default deliveries at a time: a slow answer holds up nothing important, and no server minds four."""
MOST_PARALLEL = 16
"""Deliveries at a time, at most: each takes a thread and a connection."""


class KindSettings(BaseModel):
    """Base of a receiver's settings: unknown keys are refused, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a receiver reads when it is built; a reload builds it anew if one has changed."""
        return ()


@dataclass(frozen=True, slots=True)
class Probed:
    """What a look at a receiver found that could deliver now.

    Parameters
    ----------
    found
        What is there, on one line: whom it would post as, and where.
    notes
        What may go wrong later all the same, and what to do, a line each.
    """

    found: str
    notes: tuple[str, ...] = ()


Build = Callable[[str, Any, Resolve, Clock], Receiver]
"""Builds a receiver from its name, settings, a function that gives a secret's value, and the clock.

Raises `SecretError` or `ReceiverError` where the receiver could not work. Libraries that only this receiver
needs are imported here rather than at the top of the file: every command loads every receiver's settings.
"""

Probe = Callable[[str, Any, Resolve, Clock], Probed]
"""Looks whether a receiver could deliver, and sends nothing: of the same arguments as `Build`.

Raises `SecretError`, or `ReceiverError` with the cause and what to do about it. It is bounded by the
receiver's own timeout for each request.
"""

Link = Callable[[Receiver, str], str]
"""Gives the address of a message, from what `Receiver.deliver` answered; empty where it has none."""


def retry_command(name: str) -> str:
    """What to type once the cause of a receiver's failures is put right.

    Examples
    --------
    >>> retry_command("desk")
    'tapewatch alerts --retry-parked desk'
    """
    return f"tapewatch alerts --retry-parked {name}"


def _no_link(receiver: Receiver, answered: str) -> str:
    return ""


def _cannot_edit(_: Any) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class ReceiverKind:
    """One kind of receiver, as its file registers it under the name `RECEIVER`.

    Parameters
    ----------
    name
        The key in the configuration (``slack``), and the name of its file.
    settings
        Model of the settings under that key.
    build
        Builds a receiver from them.
    probe
        Looks whether it could deliver, without sending anything.
    usual_cap
        Messages a minute where the configuration sets no `cap`; None for no limit.
    most_parallel
        The most deliveries that the configuration may set as `parallel`; 1 for what takes one at a time.
    edits
        Edits a minute under these settings, None where it cannot edit what it has sent: then each transition
        is a message.
    link
        Where people can look at a message.

    Examples
    --------
    >>> from alerts.receivers.file import RECEIVER
    >>> RECEIVER.name, RECEIVER.usual_cap
    ('file', None)
    """

    name: str
    settings: type[KindSettings]
    build: Build
    probe: Probe
    usual_cap: int | None = USUAL_CAP
    most_parallel: int = MOST_PARALLEL
    edits: Callable[[Any], int | None] = _cannot_edit
    link: Link = _no_link
