"""What comes from events cannot steer a terminal."""

from __future__ import annotations

import pytest
from rich.table import Table

from streamer.cli.output import out, say

HOSTILE = "A\x1b]0;title\x07B\x9b2JC\tD"


@pytest.fixture(params=["a terminal", "a pipe"])
def on_terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if request.param == "a terminal" else "0")
    monkeypatch.setenv("NO_COLOR", "1")
    return bool(request.param == "a terminal")


def test_a_text_has_no_control_characters_on_a_terminal(
    on_terminal: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out(f"{HOSTILE}\nsecond line")
    say(HOSTILE)
    for printed in capsys.readouterr():
        assert ("\x1b]" in printed or "\x9b" in printed) is not on_terminal
        assert "title" in printed
        assert "\n" in printed


def test_a_table_has_none_either(on_terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None)
    table.add_column("text")
    table.add_row(HOSTILE)
    out(table)
    printed = capsys.readouterr().out
    assert ("\x1b]" in printed or "\x9b" in printed) is not on_terminal
