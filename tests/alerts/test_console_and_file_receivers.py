"""The console and the file."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from fakes.alert_bodies import alert_body, delivery
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from alerts.receivers.errors import ReceiverError
from alerts.receivers.file import FileReceiver
from alerts.receivers.receiver import PermanentError, RetryableError
from alerts.receivers.registry import ReceiverSettings, build_receiver
from alerts.receivers.wrapping import wrapped
from streamer.notify.clock import SystemClock

ROOT = Path(__file__).parents[2]

PRINT = """
import sys
from alerts.receivers.receiver import Delivery, PermanentError
from alerts.receivers.registry import ReceiverSettings, build_receiver
settings = ReceiverSettings.model_validate({"console": {}})
receiver = build_receiver("tty", settings, lambda secret: "", None)
body = sys.stdin.buffer.read()
for n in range(int(sys.argv[1])):
    try:
        receiver.deliver(Delivery("a1", n, "tty", body), lambda step, result: None)
    except PermanentError as error:
        print("permanent", error)
        break
"""


def printed(body: bytes, times: int = 1, **more: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", PRINT, str(times)]
    return subprocess.run(command, input=body, capture_output=True, cwd=ROOT, timeout=60, check=False, **more)


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_a_terminal_of_hardly_a_column_is_written_to(width: int) -> None:
    shown = [line.plain for line in wrapped(Text("日本 ab"), width)]
    assert all(cell_len(line) <= max(width, 2) for line in shown)
    assert "".join(shown).replace(" ", "") == "日本ab"
    assert all(shown)


def test_a_transition_is_one_line_on_standard_error_with_nothing_odd_in_it() -> None:
    result = printed(alert_body(text="a\nb\x1b[2Jc [red]no markup[/red] :smile:", symbol="Δ"))
    assert result.returncode == 0
    assert result.stdout == b""
    (line,) = result.stderr.decode().splitlines()
    assert "\x1b" not in line
    assert "CRITICAL fat_finger XNAS Δ" in line
    assert "[red]no markup[/red] :smile:" in line


def on_a_terminal(body: bytes, columns: int) -> list[str]:
    """What a terminal of this width gets, line by line, colours left out."""
    terminal, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    # `TERM` is set too: the environment of a test run may be none of a terminal
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, "-c", PRINT, "1"]
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=program, cwd=ROOT, env={**environment, "TERM": "xterm"}
    )
    os.close(program)
    running.communicate(body, timeout=60)
    seen = b""
    while piece := _read(terminal):
        seen += piece
    os.close(terminal)
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()).splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # so ends a terminal that nobody writes to any more
        return b""


RESOLVED = alert_body(
    "a1",
    3,
    transition="resolved",
    ts_event="2026-01-05T14:38:12.000000000Z",
    text="ACME: one trade of 69 (4,200,000 in money), the hour's mean is 1.2 (over: not true for 60s)",
    episode={
        "began": "2026-01-05T14:30:00.000000000Z",
        "measure": "size",
        "unit": "",
        "first": 69.0,
        "peak": 100.0,
        "peak_ts": "2026-01-05T14:30:40.000000000Z",
        "last": 12.2,
    },
)


def test_a_terminal_of_80_columns_gets_whole_words() -> None:
    assert on_a_terminal(RESOLVED, 80) == [
        "01-05 14:38:12Z  RESOLVED fat_finger XNAS ACME after 8m 12s, peak 100  One trade",
        "    of 69 (4,200,000 in money), the hour's mean is 1.2  size began at 69, peaked",
        "    at 100 after 40s, and was last 12.2. It is over: not true for 60s.  a1",
    ]


@pytest.mark.parametrize("columns", [20, 80, 120, 400])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(columns: int) -> None:
    body = alert_body(symbol="Δ" * 3 + "株" * 50, text="w" * 300 + " and 株 then " + "words " * 30)
    shown = on_a_terminal(body, columns)
    assert all(cell_len(line) <= columns for line in shown)
    assert all(line.startswith("    ") for line in shown[1:])
    whole = on_a_terminal(body, 10_000)
    assert "".join("".join(shown).split()) == "".join("".join(whole).split())


def test_elsewhere_it_is_one_line_with_the_whole_time() -> None:
    (line,) = printed(RESOLVED).stderr.decode().splitlines()
    assert line.startswith(
        "2026-01-05T14:38:12.000Z  RESOLVED fat_finger XNAS ACME after 8m 12s, peak 100  One"
    )
    assert line.endswith("not true for 60s.  a1")


def test_a_terminal_that_knows_no_unicode_is_no_cause_to_crash() -> None:
    result = printed(
        alert_body(symbol="Δ"), env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert result.returncode == 0, result.stderr


def test_an_output_nobody_reads_is_a_permanent_error_and_no_crash() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", PRINT, "3"]
    result = subprocess.run(
        command, input=alert_body(), stdout=subprocess.PIPE, stderr=write, cwd=ROOT, timeout=60, check=False
    )
    os.close(write)
    assert result.stdout.decode().strip() == "permanent console_closed"


def nothing(step: str, result: str) -> None:
    raise AssertionError((step, result))


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text('{"id": "older", "number": 0}\n')
    receiver = FileReceiver(path)
    for n in range(3):
        receiver.deliver(delivery("a1", n), nothing)
    found = [(line["id"], line["number"]) for line in map(json.loads, path.read_text().splitlines())]
    assert found == [("older", 0), ("a1", 0), ("a1", 1), ("a1", 2)]


def test_a_line_is_the_stored_body(tmp_path: Path) -> None:
    item = delivery(text="Zürich & “quotes”")
    FileReceiver(tmp_path / "alerts.jsonl").deliver(item, nothing)
    assert (tmp_path / "alerts.jsonl").read_bytes() == item.body + b"\n"


def test_a_line_in_doubt_is_written_once_wherever_in_the_tail_it_is(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    receiver = FileReceiver(path)
    for n in range(50):
        receiver.deliver(delivery(f"a{n}"), nothing)
    for n in (0, 17, 49):
        receiver.deliver(delivery(f"a{n}", in_doubt=True), nothing)
    receiver.deliver(delivery("a5", 1, in_doubt=True), nothing)
    assert len(path.read_text().splitlines()) == 51


@given(st.integers(min_value=0, max_value=400), st.booleans())
def test_a_line_cut_short_by_a_crash_is_made_whole(
    tmp_path_factory: pytest.TempPathFactory, kept: int, doubt: bool
) -> None:
    path = tmp_path_factory.mktemp("cut") / "alerts.jsonl"
    whole = alert_body("a1", 0) + b"\n"
    path.write_bytes(alert_body("a0") + b"\n" + whole[: min(kept, len(whole) - 1)])
    FileReceiver(path).deliver(delivery("a1", 0, in_doubt=doubt), nothing)
    assert path.read_bytes() == alert_body("a0") + b"\n" + whole


def test_somebody_elses_unfinished_line_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_text("notes of mine")
    FileReceiver(path).deliver(delivery("a1"), nothing)
    assert path.read_text().splitlines()[0] == "notes of mine"
    assert json.loads(path.read_text().splitlines()[1])["id"] == "a1"


def test_a_file_rotated_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    receiver = FileReceiver(path)
    receiver.deliver(delivery("a1"), nothing)
    path.rename(tmp_path / "alerts.jsonl.1")
    receiver.deliver(delivery("a2"), nothing)
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("where", ["no/such/folder/alerts.jsonl", "."])
def test_a_file_that_cannot_be_written_is_told_at_load(tmp_path: Path, where: str) -> None:
    settings = ReceiverSettings.model_validate({"file": {"path": str(tmp_path / where)}})
    with pytest.raises(
        ReceiverError, match=r"receiver log cannot write to .*: (No such file|Is a directory)"
    ):
        build_receiver("log", settings, lambda secret: "", SystemClock())


def test_a_folder_that_goes_away_parks(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"^file_enoent$"):
        FileReceiver(tmp_path / "gone" / "alerts.jsonl").deliver(delivery(), nothing)


APPEND = """
import resource, sys
from pathlib import Path
from alerts.receivers.receiver import Delivery, RetryableError
from alerts.receivers.file import FileReceiver
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    FileReceiver(Path(sys.argv[1])).deliver(Delivery("a2", 0, "log", sys.stdin.buffer.read()), print)
except RetryableError as error:
    print("retryable", error)
"""


def test_half_a_line_on_a_disk_that_runs_full_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    before = alert_body("a1") + b"\n"
    path.write_bytes(before)
    command = [sys.executable, "-c", APPEND, str(path), str(len(before) + 20)]
    result = subprocess.run(
        command, input=alert_body("a2"), capture_output=True, cwd=ROOT, timeout=60, check=False
    )
    assert result.stdout.decode().strip() == "retryable file_efbig", result.stderr
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_retried() -> None:
    with pytest.raises(RetryableError, match="file_enospc"):
        FileReceiver(Path("/dev/full")).deliver(delivery(), nothing)
