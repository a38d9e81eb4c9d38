"""Kills a daemon at moments found from outside: while it posts, while it checkpoints, while it commits."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon import Daemon

_GIVE_UP_S = 25.0  # starting up takes some of it


class Killer:
    """Ends and restarts a daemon with SIGKILL, in turn in every phase that can be told from outside."""

    def __init__(self, daemon: Daemon, store: Path, slack: Any, seed: int) -> None:
        self.daemon = daemon
        self.phases: Counter[str] = Counter()
        self._store = store
        self._slack = slack
        self._random = random.Random(seed)
        self._moments: dict[str, Callable[[], bool]] = {
            "mid-post": self._posting,
            "mid-checkpoint": self._checkpointing,
            "mid-commit": self._committing,
            "any moment": self._anywhere,
        }

    def kill_once(self) -> None:
        """Kill at the next moment of some phase, and start again."""
        phase = list(self._moments)[self.phases.total() % len(self._moments)]
        deadline = time.monotonic() + _GIVE_UP_S
        happened = self._moments[phase]
        while not happened():
            if time.monotonic() > deadline:
                phase = "any moment"
                break
        self.daemon.kill()
        self.phases[phase] += 1
        self.daemon.start()

    def _posting(self) -> bool:
        """A request has begun that is not answered yet."""
        before = self._slack.in_flight
        time.sleep(0.0005)
        return before > 0 and self._slack.in_flight > 0

    def _checkpointing(self) -> bool:
        folder = self._store.with_name(self._store.name + ".checkpoints")
        try:
            return any(file.suffix == ".tmp" for file in folder.iterdir())
        except FileNotFoundError:
            return False

    def _committing(self) -> bool:
        """The write-ahead log has just changed: a transaction is on its way to disk."""
        before = self._log_state()
        time.sleep(0.0005)
        return self._log_state() != before

    def _log_state(self) -> tuple[int, int]:
        try:
            found = self._store.with_name(self._store.name + "-wal").stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_size, found.st_mtime_ns

    def _anywhere(self) -> bool:
        time.sleep(self._random.uniform(0.0, 1.5))
        return True
