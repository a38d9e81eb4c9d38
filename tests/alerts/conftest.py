"""What the tests of alerts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.slack import FakeSlack


@pytest.fixture
def slack_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    """A server in Slack's place, reached directly whatever proxies the environment names."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FakeSlack() as server:
        yield server
