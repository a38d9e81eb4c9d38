"""The real process under test: `tapewatch` with a configuration made from a shipped example."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import forked
from forked import Forked
from ruamel.yaml import YAML

EXAMPLES = Path(__file__).parents[2] / "examples"
TOKEN = "xoxb-test"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"the test's webhook signing secret").decode()
SECRETS = {"SLACK_BOT_TOKEN": TOKEN, "OPS_WEBHOOK_SECRET": WEBHOOK_SECRET}
CHANNEL = "trading-desk"


def configure(
    example: str,
    folder: Path,
    *,
    bootstrap: str = "127.0.0.1:1",
    slack: Any = None,
    topics: Mapping[str, str] | None = None,
    files: Sequence[Mapping[str, Any]] | None = None,
    name: str = "tapewatch",
    **sections: Any,
) -> Path:
    """A shipped example, pointed at the test's broker, topics (name to venue), receivers and folder."""
    yaml = YAML()
    document = yaml.load((EXAMPLES / example).read_text())
    source = document["source"]
    source["kafka"].update(bootstrap=bootstrap, group=f"g-{folder.name}-{name}", start="earliest")
    if topics is not None:
        source["topics"] = [
            {"match": topic, "format": "binance", "venue": venue} for topic, venue in topics.items()
        ]
    if files is not None:
        source["files"] = [dict(file) for file in files]
    document["store"] = str(folder / f"{name}.db")
    if slack is not None:
        document["receivers"]["desk"]["slack"]["api_url"] = slack.api_url
        document["receivers"]["ops"]["webhook"]["url"] = slack.webhook_url("ops")
    document["late_after"] = "30d"  # a capture that is published at once is no backlog that nobody waited for
    document["serve"] = {"address": "off"}  # several daemons run at once, on one machine
    document.update(sections)
    path = folder / f"{name}.yaml"
    with path.open("w") as out:
        yaml.dump(document, out)
    return path


def edited(config: Path, change: Callable[[Any], None]) -> None:
    """Change a configuration's file, as a person would."""
    yaml = YAML()
    document = yaml.load(config.read_text())
    change(document)
    with config.open("w") as out:
        yaml.dump(document, out)


def tapewatch(
    *arguments: str | Path, timeout_s: float = 120.0, expect: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    done = forked.tapewatch(*arguments, environ=SECRETS, timeout_s=timeout_s)
    if expect is not None:
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Daemon:
    """`tapewatch run` as a process of its own; its log goes to a file beside the configuration.

    It is forked from a process that has loaded the code, unless it is to begin from nothing, or by a command.
    """

    command: Sequence[str] = ()

    def __init__(self, config: Path, *, from_nothing: bool = False) -> None:
        self.config = config
        self.log = config.with_suffix(".log")
        if from_nothing:
            self.command = ("-m", "streamer")
        self._process: subprocess.Popen[bytes] | Forked | None = None

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        if not self.command:
            files = (Path(os.devnull), self.log, self.log)
            self._process = Forked(("run", "-c", self.config), SECRETS, files, Path.cwd())
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.command, "run", "-c", str(self.config)],
                env={**os.environ, **SECRETS},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self, timeout_s: float = 40.0) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout_s)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until(
        self, happened: Callable[[], object], what: str, timeout_s: float = 90.0, look_every_s: float = 0.05
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            if not self.running:
                raise AssertionError(f"the daemon ended while waiting for {what}:\n{self.output()[-4000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen in {timeout_s} s:\n{self.output()[-4000:]}")
            time.sleep(look_every_s)


def alerts_of(config: Path) -> list[dict[str, Any]]:
    """Every alert in a configuration's store, as `tapewatch alerts` gives them."""
    done = tapewatch("alerts", "-c", config, "--json", "-n", "1000000")
    return [json.loads(line) for line in done.stdout.splitlines()]
