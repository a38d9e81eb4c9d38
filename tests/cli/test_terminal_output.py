"""What comes from events cannot steer a terminal."""

from __future__ import annotations

import pytest

from alerts.receivers.safe_console import LineTable
from streamer.cli.output import out, say

HOSTILE = "A\x1b]0;title\x07B\x9b2JC\tD"


@pytest.fixture(params=["a terminal", "a pipe"])
def on_terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if request.param == "a terminal" else "0")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("on_terminal")
def test_a_text_steers_no_terminal_and_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    out(f"{HOSTILE}\nsecond line")
    say(HOSTILE)
    shown = r"A\x1b]0;title\x07B\x9b2JC\tD"
    assert capsys.readouterr() == (f"{shown}\\nsecond line\n", f"{shown}\n")


@pytest.mark.usefixtures("on_terminal")
def test_a_table_has_none_either(capsys: pytest.CaptureFixture[str]) -> None:
    table = LineTable("text")
    table.add_row(f"{HOSTILE}\nanother row")
    out(table)
    printed = capsys.readouterr().out.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert [line.rstrip() for line in printed] == ["text", r"A\x1b]0;title\x07B\x9b2JC\tD\nanother row"]
