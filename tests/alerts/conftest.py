"""What the tests of alerts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.slack import FakeSlack

from streamer.notify.notifier import Notifier
from streamer.store.database import Database, open_store


@pytest.fixture
def slack_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    """A server in Slack's place, reached directly whatever proxies the environment names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeSlack() as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store that is empty."""
    store = open_store(str(tmp_path / "tapewatch.db"))
    yield store
    store.close()


@pytest.fixture
def at_work() -> Iterator[Callable[[Notifier], Notifier]]:
    """Starts notifiers, which end with the test."""
    started: list[Notifier] = []

    def begin(notifier: Notifier) -> Notifier:
        started.append(notifier)
        notifier.start()
        return notifier

    yield begin
    for each in started:
        each.stop(0.0)
