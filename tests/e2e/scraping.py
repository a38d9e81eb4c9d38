"""What the daemon under test serves, scraped before and after something happens."""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
from collections.abc import Callable

from daemon import Daemon
from fakes.exposition import fetch, lint, value

_LOOK_EVERY_S = 0.25  # more often, and pages would be most of what the daemon does


class Metrics:
    """The pages of a daemon; every exposition that was looked at is kept."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.daemon = daemon
        self.address = ("127.0.0.1", port)
        self.pages: list[str] = []
        self._before = ""

    def get(self, path: str) -> tuple[int, str]:
        try:
            return fetch(self.address, path)
        except (urllib.error.URLError, ConnectionError):
            return 0, ""

    def value(self, name: str, **labels: str) -> float:
        self.pages.append(self.get("/metrics")[1])
        return value(self.pages[-1], name, **labels) or 0.0

    def mark(self) -> None:
        """What is asked by `grown` from now on has this for its beginning."""
        self._before = self.get("/metrics")[1]

    def grown(self, name: str, **labels: str) -> float:
        """By how much more it is than when `mark` was called."""
        return self.value(name, **labels) - (value(self._before, name, **labels) or 0.0)

    def wait(
        self, name: str, reached: Callable[[float], bool], timeout_s: float = 60.0, **labels: str
    ) -> None:
        what = f"{name}{labels}"
        self.daemon.wait_until(
            lambda: reached(self.value(name, **labels)), what, timeout_s, look_every_s=_LOOK_EVERY_S
        )


def problems(page: str) -> list[str]:
    """What is wrong with an exposition; `promtool` has a look at it, too, where it is on the path."""
    found = lint(page)
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        found += [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()
    return found
