"""What systemd is told, by its own protocol on a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from streamer.app.service_manager import ServiceManager


@pytest.fixture(params=["a file", "an abstract name"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "a file" else f"@tapewatch-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        server.settimeout(5)
        yield server, name


def test_each_word_is_a_datagram(listening: tuple[socket.socket, str]) -> None:
    server, name = listening
    environ = {
        "NOTIFY_SOCKET": name,
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/",
    }
    manager = ServiceManager(environ)
    assert environ == {"PATH": "/"}, "a process that is started by this one does not speak for it"
    assert manager.watchdog_s == 30.0
    assert manager.starting(600)
    assert server.recv(999) == b"EXTEND_TIMEOUT_USEC=600000000"
    assert manager.ready()
    assert server.recv(999) == b"READY=1"
    manager.status("at work\nREADY=0\x1b[2J", alive=True)
    assert server.recv(999) == b"STATUS=at work\\nREADY=0\\x1b[2J\nWATCHDOG=1"
    manager.status("NOT WELL", alive=False)
    assert server.recv(999) == b"STATUS=NOT WELL"
    manager.reloading()
    assert server.recv(999).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    manager.stopping()
    assert server.recv(999) == b"STOPPING=1"


def test_a_change_that_finds_the_queue_full_is_told_later(listening: tuple[socket.socket, str]) -> None:
    server, name = listening
    manager = ServiceManager({"NOTIFY_SOCKET": name})
    while manager.tell(STATUS="at work"):
        pass  # nobody reads, until the queue is full
    assert not manager.ready()
    server.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            assert b"READY" not in server.recv(999)
    assert manager.status("at work")
    assert [server.recv(999), server.recv(999)] == [b"READY=1", b"STATUS=at work"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}, {"NOTIFY_SOCKET": "/nowhere/at/all"}],
)
def test_nobody_who_listens_is_no_error(environ: dict[str, str]) -> None:
    manager = ServiceManager(environ)
    assert not manager.ready()
    assert not manager.status("at work", alive=True)


def test_a_watchdog_for_another_process_is_not_ours(listening: tuple[socket.socket, str]) -> None:
    _, name = listening
    for usec, pid in (("30000000", "1"), ("0", ""), ("x", "")):
        environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
        assert ServiceManager(environ).watchdog_s is None
