"""Tells the service manager (systemd) how the service stands: sd_notify's protocol, a datagram each."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import MutableMapping

import structlog

from alerts.plain_text import one_line

log = structlog.get_logger(__name__)

_USEC = 1_000_000
_STATUS_LENGTH = 400
_TELL_WITHIN_S = 0.5


class ServiceManager:
    """The service manager that started this process, if there is one that wants to be told.

    It takes its variables out of the environment: a process that this one starts must not speak for it.

    Parameters
    ----------
    environ
        Environment variables: ``NOTIFY_SOCKET`` (a path, or ``@`` and a name without a file), and
        ``WATCHDOG_USEC`` with ``WATCHDOG_PID``.

    Examples
    --------
    >>> manager = ServiceManager({})
    >>> manager.ready(), manager.watchdog_s
    (False, None)
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))
        """Within how many seconds it wants a sign of life each time, None where it does not."""
        self._told = True
        self._owed: dict[str, str] = {}
        self._telling = threading.Lock()

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return self._address.startswith(("/", "\0"))

    def ready(self) -> bool:
        """The service is up, or has reloaded; each of these returns whether it was told."""
        return self._must_tell(READY="1")

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it."""
        return self._must_tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1_000))

    def stopping(self) -> bool:
        """The service ends."""
        return self._must_tell(STOPPING="1")

    def starting(self, within_s: float) -> bool:
        """The start goes on, and is not to be given up within these seconds."""
        return self.tell(EXTEND_TIMEOUT_USEC=str(int(within_s * _USEC)))

    def status(self, text: str, *, alive: bool = False) -> bool:
        """What `systemctl status` shows; and the sign of life that the watchdog waits for, if `alive`."""
        with self._telling:
            if self._owed and self.tell(**self._owed):
                self._owed = {}
        shown = one_line(text)[:_STATUS_LENGTH]
        return self.tell(STATUS=shown, **({"WATCHDOG": "1"} if alive and self.watchdog_s is not None else {}))

    def _must_tell(self, **state: str) -> bool:
        """Tell a change; where it cannot be told now, it is told before the next status."""
        with self._telling:
            told = self.tell(**state)
            self._owed = {} if told else state
            return told

    def tell(self, **state: str) -> bool:
        """Send one datagram; an error is logged once, and never a reason to end."""
        if not self.listens:
            return False
        message = "\n".join(f"{name}={value}" for name, value in state.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_TELL_WITHIN_S)  # its queue is short, and full while it is busy
                sender.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if self._told:
                log.warning("the service manager cannot be told", reason=error.strerror or str(error))
            self._told = False
            return False
        self._told = True
        return True


def _watchdog_s(usec: str, pid: str) -> float | None:
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / _USEC
