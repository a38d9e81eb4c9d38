"""Tracebacks that a library logs show no local variables, which may hold secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from streamer.cli.logs import hide_in_logs, set_up_logs
from streamer.config.settings import LogSettings

LIBRARY = logging.getLogger("some.library")


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def request(token: str) -> None:
    """What a library does: it fails, and logs the error with its traceback."""
    try:
        raise ConnectionError("no answer")
    except ConnectionError:
        LIBRARY.exception("request failed after %d characters", len(token))


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_logged_traceback_shows_no_local_variables(
    style: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(LogSettings(format=style))
    request("-".join(["xoxb", "very", "secret"]))
    logged = capsys.readouterr().err
    assert "no answer" in logged
    assert "request failed after 16 characters" in logged
    assert "xoxb-very-secret" not in logged


@pytest.mark.parametrize("style", ["console", "json"])
def test_secrets_that_a_reload_brings_are_hidden_beside_the_old_ones(
    style: Literal["console", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(LogSettings(format=style), ["xoxb-before"])
    logger = structlog.get_logger()
    logger.warning("refused", token="xoxb-before")
    hide_in_logs(["xoxb-after"])
    logger.warning("refused", token="xoxb-after")
    LIBRARY.warning("sent %s after %s", "xoxb-after", "xoxb-before")
    logged = capsys.readouterr().err
    assert "xoxb" not in logged
    assert logged.count("[secret]") == 4
