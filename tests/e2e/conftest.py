"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from daemon import CHANNEL, TOKEN
from fakes.slack import FakeSlack


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """A loopback server in Slack's place, which also takes webhooks."""
    with FakeSlack(token=TOKEN, channels=(CHANNEL,)) as fake:
        yield fake
