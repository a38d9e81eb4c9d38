"""Keeps a process from changing anything outside of itself: a guard against accidents, not against malice."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = frozenset({os.devnull, "/dev/tty"})

_THREAD = "start a thread"
"""The limit on processes counts threads, too, which would look like a fault of the model."""

_REFUSED = {
    "os.system": "start a process",
    "os.exec": "start a process",
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "os.posix_spawn": "start a process",
    "os.spawn": "start a process",
    "os.startfile": "start a process",
    "pty.spawn": "start a process",
    "subprocess.Popen": "start a process",
    "webbrowser.open": "open a page",
    "os.kill": "send a signal",
    "os.killpg": "send a signal",
    "os.chmod": "change a file",
    "os.chown": "change a file",
    "os.link": "make a link",
    "os.mkdir": "make a folder",
    "os.remove": "remove a file",
    "os.removexattr": "change a file",
    "os.rename": "rename a file",
    "os.rmdir": "remove a folder",
    "os.setxattr": "change a file",
    "os.symlink": "make a link",
    "os.truncate": "change a file",
    "os.utime": "change a file",
    "sqlite3.connect": "open a database",
    "socket.bind": "listen on the network",
    "socket.connect": "connect to the network",
    "socket.getaddrinfo": "look up a host",
    "socket.gethostbyname": "look up a host",
    "socket.sendto": "send on the network",
    "socket.sendmsg": "send on the network",
    "socket.sethostname": "change the machine's name",
    "syslog.openlog": "write to the machine's log",
    "syslog.syslog": "write to the machine's log",
    "ctypes.dlopen": "load a library",
}
"""Audit events, and what they would have done."""

_UNAUDITED = {
    ("_posixsubprocess", "fork_exec"): "start a process",  # how multiprocessing starts its own
    ("subprocess", "_fork_exec"): "start a process",
    ("multiprocessing.util", "spawnv_passfds"): "start a process",
    ("_thread", "start_new_thread"): _THREAD,
    ("_thread", "start_joinable_thread"): _THREAD,
    ("threading", "_start_new_thread"): _THREAD,
    ("threading", "_start_joinable_thread"): _THREAD,
    ("signal", "pidfd_send_signal"): "send a signal",
    ("os", "mkfifo"): "make a pipe",
    ("posix", "mkfifo"): "make a pipe",
    ("os", "mknod"): "make a device",
    ("posix", "mknod"): "make a device",
    ("_multiprocessing", "SemLock"): "make a semaphore",
    ("_multiprocessing", "sem_unlink"): "remove a semaphore",
    ("_posixshmem", "shm_open"): "make shared memory",
    ("_posixshmem", "shm_unlink"): "remove shared memory",
    ("_dbm", "open"): "open a database",
    ("_gdbm", "open"): "open a database",
}
"""Functions and classes that raise no audit event."""

_LIMITED = {
    errno.EFBIG: "write to a file",
    errno.EAGAIN: "start a process or a thread",
}
"""Errors of what meets `_limit`, and what it would have done."""


class Refused:
    """What was refused since it was last cleared."""

    def __init__(self) -> None:
        self.first: str | None = None

    def clear(self) -> None:
        """Forget what was refused."""
        self.first = None

    def note(self, what: str) -> None:
        """Note what was refused, where it is the first."""
        self.first = self.first or what

    def note_limit(self, error: BaseException | None) -> None:
        """Note what an error comes from, where a limit for all code was met, compiled code included."""
        seen = set[int]()
        while error is not None and id(error) not in seen:
            if isinstance(error, OSError) and error.errno in _LIMITED:
                self.note(_LIMITED[error.errno])
            seen.add(id(error))
            error = error.__cause__ or error.__context__


def keep_hands_off() -> Refused:
    """From now on this process writes no file, starts no process and reaches no network; it can be read.

    Whoever tries gets a `PermissionError`. It cannot be undone.
    """
    refused = Refused()

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        what = _REFUSED.get(event)
        if event == "open" and _opens_to_write(arguments):
            what = f"write to {arguments[0]!r}"
        if event == "ctypes.dlsym" and _is_of_system(*arguments):
            what = "call the C library"
        if what is not None:
            refused.note(what)
            raise PermissionError(f"not allowed to {what} here")

    sys.dont_write_bytecode = True
    for (module, name), what in _UNAUDITED.items():
        with suppress(ImportError):
            found = import_module(module)
            if hasattr(found, name):
                setattr(found, name, _refusal(getattr(found, name), what, refused))
    _limit()
    sys.addaudithook(audit)
    return refused


def _refusal(refused_one: object, what: str, refused: Refused) -> Callable[..., NoReturn] | type:
    def refuse(*_: object, **__: object) -> NoReturn:
        refused.note(what)
        raise PermissionError(f"not allowed to {what} here")

    if isinstance(refused_one, type):  # what it holds besides is needed as modules are loaded
        return type(refused_one.__name__, (refused_one,), {"__new__": refuse})
    return refuse


def _limit() -> None:
    """Hold back compiled code, too, which raises no audit events; the first limit does not bind root."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then fails, and ends nothing
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _opens_to_write(arguments: tuple[Any, ...]) -> bool:
    path, mode, flags = (*arguments, None, None, None)[:3]
    if isinstance(path, int) or path in _DEVICES:
        return False
    if isinstance(mode, str) and set(mode) & set("wax+"):
        return True
    return isinstance(flags, int) and bool(flags & _WRITES)


def _is_of_system(library: object, name: object) -> bool:
    """Whether a function is found without loading a library, and is none of Python's own, as numba uses."""
    return getattr(library, "_name", None) is None and not str(name).startswith(("Py", "_Py"))
