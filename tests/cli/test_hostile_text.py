"""Hostile text in every text of the store and of an event, through every view that shows it.

No view may obey it, hide any of it, or show a line that the text has made up.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from fakes.alert_bodies import alert_body, delivery
from rich.console import Console
from sqlalchemy import LargeBinary, Table, Text
from typer.testing import CliRunner

from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.file import FileReceiver
from alerts.receivers.safe_console import SafeConsole
from alerts.receivers.slack.message import message, reply, rise
from streamer.app.signals import INTERRUPTED
from streamer.cli.app import COMMANDS, application
from streamer.cli.logs import set_up_logs, set_up_tracebacks
from streamer.config.settings import LogSettings
from streamer.errors import TapewatchError
from streamer.store import tables as t
from streamer.store.database import open_store

FORGED = "delivery   desk: done after 1 attempt"
HOSTILE = (
    "A\x1b[2J\x1b[1;31mRED\x1b]0;title\x07\x9b1A\n  " + FORGED + "\r\n" + FORGED + "\x85" + FORGED + "\u2028"
    "\u202e\u2066\u200b\u200d\ufeff\u00ad\u3164\u115f\ufe0f\x00\x08\x7f\t\U000e0041 "
    "it's [bold]x[/] 'b' \"c\" \\"
)
IN_JSON = HOSTILE + "\ud800"  # half a character, which only JSON can bring
CONFIG = """\
source: {files: [{match: "*", format: tapewatch}]}
store: STORE
detectors:
  tape: {model: RobustZ, on: trade, features: [return_bps_10s]}
rules:
  big:
    when: size > 5 and symbol != "x"
    clear: 1s
    text: "{symbol:s} on {venue} traded {size}\\nsecond line"
"""
T0 = 1_767_623_400_000_000_000
KEPT = {
    "state",
    "kind",
    "transition",
    "severity",
    "origin",
    "held_by",
}  # words of ours
SGR = re.compile(r"\x1b\[[0-9;]*m")


def hostile(value: Any, name: str = "") -> Any:
    """The same document, with every text replaced that is not a word of ours."""
    if isinstance(value, Mapping):
        return {key: hostile(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [hostile(each) for each in value]
    is_free = isinstance(value, str) and name not in {*KEPT, "id", "ts_event", "began", "peak_ts"}
    return IN_JSON if is_free else value


def row_of(table: Table, **given: Any) -> dict[str, Any]:
    """A row with hostile text wherever there is text, and a number wherever there is a number."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in given:
            row[column.name] = given[column.name]
        elif isinstance(column.type, Text):
            row[column.name] = HOSTILE
        elif isinstance(column.type, LargeBinary):
            row[column.name] = HOSTILE.encode()
        elif column.nullable:
            row[column.name] = None
        else:
            row[column.name] = 1
    return row


ALERT = json.loads(alert_body("a1", 0))
ALERT["values"] |= {"account": "me"}
ALERT["episode"] = {
    "began": "2026-01-05T14:30:00Z", "first": 1.0, "peak": 2.0, "peak_ts": "2026-01-05T14:30:00Z",
    "last": 2.0, "measure": "size", "unit": "lots",
}  # fmt: skip
DECISION = {
    "rule": {"when": "a", "explained": "b", "settings": {"on": ["tick"], "text": "c"}},
    "event": {"kind": "trade", "symbol": "s", "id": "d"},
    "features": {"x": 1.0}, "scores": {"tape": 2.0}, "rarities": {"tape": 3.0},
    "versions": {"rule": "v", "model": "m"},
}  # fmt: skip
STATUS = {
    "instruments": 1, "watermark_ns": None, "seen": ["price"], "detectors": {"tape": {"ready": 1}},
    "drifts": {}, "rarities": {"tape": True}, "rates": {}, "quarantined": {"tape": {HOSTILE: HOSTILE}},
    "controlled": {"tape": HOSTILE}, "open": {}, "ignored": {HOSTILE: 3}, "clocks": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every text of every table is hostile, but for the words that the code goes by."""
    path = tmp_path_factory.mktemp("hostile") / "tape.db"
    database = open_store(str(path))
    body = json.dumps(hostile(ALERT)).encode()
    near = hostile({**ALERT, "id": "a2", "for": "3 of 5"}) | {"held_by": "for", "id": "a2"}
    miss = {**hostile(DECISION), "near_miss": near}
    named = ("rule", "venue", "symbol")
    matchers = json.dumps([{"field": name, "op": "=", "value": HOSTILE} for name in named])
    decision = json.dumps(hostile(DECISION)).encode()
    silence = {"matchers": matchers, "ends_at": 4e9, "starts_at": 0.0}
    common = {"task_id": 1, "alert_id": "a1", "number": 0, "offset": 1, "partition": 0}
    alert = {**common, "origin": "detect", "transition": "fired", "severity": "warning", "body": body}
    rows = {
        t.tasks: [row_of(t.tasks, id=1, ended_at=None, ended_why=None)],
        t.members: [row_of(t.members, task_id=1)],
        t.outbox: [row_of(t.outbox, **alert, routed=1, behind_s=9.0, ts_event_ns=1)],
        t.decisions: [
            row_of(t.decisions, **common, n=1, kind="transition", body=decision),
            row_of(t.decisions, **{**common, "alert_id": "a2"}, n=2, kind="near_miss",
                   body=json.dumps(miss).encode(), created_at=time.time()),
        ],
        t.deliveries: [
            row_of(t.deliveries, **common, n=n, outbox_n=1, receiver=f"{HOSTILE}{n}", state=state)
            for n, state in enumerate(("pending", "parked", "done"), 1)
        ],
        t.silences: [
            row_of(t.silences, **silence, n=1, ended_at=None, ended_by=None),
            row_of(t.silences, **silence, n=2, ended_at=9.0),
        ],
        t.dead_letters: [row_of(t.dead_letters, **common, n=n, index_=n) for n in range(1, 6)],
        t.dead_letter_floods: [
            row_of(t.dead_letter_floods, task_id=1, minute=n, first_offset=n, last_offset=n + 6, count=7)
            for n in range(1, 4)
        ],
        t.ignored: [row_of(t.ignored, task_id=1, count=3)],
        t.control_inputs: [row_of(t.control_inputs, n=1, kind="quarantine", detector="tape", created_at=1.0)],
        t.task_status: [row_of(t.task_status, task_id=1, body=json.dumps(STATUS))],
        t.receiver_holds: [row_of(t.receiver_holds)],
        t.delivery_steps: [row_of(t.delivery_steps)],
    }  # fmt: skip
    with database.write() as connection:
        for table, of_table in rows.items():
            known = {column.name for column in table.columns}
            kept = [{name: value for name, value in row.items() if name in known} for row in of_table]
            connection.execute(table.insert(), kept)
    database.close()
    return path


@pytest.fixture
def config(store: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tape.yaml"
    path.write_text(CONFIG.replace("STORE", str(store)))
    return path


@pytest.fixture(params=["a terminal", "a pipe"])
def on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if request.param == "a terminal" else "0")
    monkeypatch.setenv("COLUMNS", "2000")
    return str(request.param)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def assert_safe(shown: str) -> None:
    """Nothing in it steers a terminal or is hidden, and no line of it was made up."""
    assert "\x1b[1;31mRED" not in shown
    plain = SGR.sub("", shown)
    odd = {character for line in plain.split("\n") for character in line if not character.isprintable()}
    assert odd == set()
    assert not {"\u3164", "\u115f"} & set(plain)
    assert not re.search(f"^ {{0,2}}{FORGED}", plain, re.MULTILINE), "as a line of its own is indented"


def run(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(application([str(arguments[0])]), [str(each) for each in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


VIEWS = {
    "why": ["a1"],
    "why of a near miss": ["a2"],
    "alerts": [],
    "alerts --near-misses": [],
    "dead-letters": [],
    "mute": [],
    "mute --all": [],
    "models": [],
    "check --offline": [],
}
AS_JSON = ("why", "why of a near miss", "alerts", "alerts --near-misses", "dead-letters", "mute", "models")
NO_TEXT = {
    "demo",
    "init",
    "run",
    "replay",
    "publish",
    "record",
    "health",
    "try",
    "prune",
    "backup",
    "restore",
}


def test_every_command_that_reads_the_store_is_among_the_views() -> None:
    assert {view.split()[0] for view in VIEWS} | NO_TEXT >= set(COMMANDS)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_obeys_nothing_hides_nothing_and_shows_no_line_that_was_made_up(
    view: str, on: str, config: Path
) -> None:
    words = view.split(" of ", maxsplit=1)[0].split()
    code, out, err = run(*words, *VIEWS[view], "-c", config)
    assert code == 0
    assert_safe(out)
    assert_safe(err)
    assert "\\x1b[2J" in out + err


@pytest.mark.parametrize("view", AS_JSON)
def test_json_is_valid_equal_and_as_harmless(view: str, config: Path) -> None:
    words = view.split(" of ", maxsplit=1)[0].split()
    code, out, err = run(*words, *VIEWS[view], "-c", config, "--json")
    assert code == 0
    assert_safe(out)
    assert_safe(err)
    documents = [json.loads(line) for line in out.splitlines()]
    assert documents
    assert HOSTILE.encode("unicode_escape") in repr(documents).encode("unicode_escape") or any(
        HOSTILE in text for document in documents for text in texts(document)
    )


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from (key, *texts(each))
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_three_dead_letters_are_three_and_the_rest_is_counted(config: Path) -> None:
    code, out, err = run("dead-letters", "-n", "3", "-c", config)
    assert code == 0
    assert [int(n) for n in re.findall(r"^(\d+) ", out, re.MULTILINE)] == [3, 4, 5]
    totals = err.splitlines()
    assert "3 of 5 dead letters shown, 21 more only counted; in all:" in totals
    assert totals[-1].endswith(" 26")
    assert len(run("dead-letters", "-n", "3", "--json", "-c", config)[1].splitlines()) == 3
    assert len(run("dead-letters", "-n", "7", "--json", "-c", config)[1].splitlines()) == 5 + 2


def test_errors_name_files_and_what_was_asked_for_without_obeying_them(config: Path, on: str) -> None:
    for arguments in (
        ("check", "--offline", "-c", f"{config}\n{FORGED}\x1b[2J"),
        ("why", f"x\n{FORGED}\x9b", "-c", config),
        ("mute", f"x\n{FORGED}\x1b[2J", "--for", "1h", "-c", config),
        ("models", "lift", f"x\n{FORGED}\u202e", "-c", config),
        ("dead-letters", "--reason", f"x\n{FORGED}\r", "-c", config),
        ("replay", "-c", config, f"{config}\n{FORGED}\x1b[2J"),
    ):
        code, out, err = run(*arguments)
        assert code in (1, 2)
        assert_safe(out)
        assert_safe(err)
        assert FORGED in err


def test_who_mutes_and_why_is_shown_as_it_is(config: Path, on: str) -> None:
    said = HOSTILE.replace("\0", "")
    code, out, err = run("mute", "--symbol", said, "--for", "1h", "--by", said, "--why", said, "-c", config)
    assert code == 0
    assert_safe(out + err)


def test_a_replay_prints_and_writes_it_as_it_is(config: Path, tmp_path: Path) -> None:
    event = {
        "event_type": "trade",
        "venue": "X",
        "symbol": HOSTILE[:60],
        "ts_event": T0,
    }
    events = tmp_path / "events.jsonl"
    events.write_text(
        "".join(json.dumps({**event, "price": 1.0, "size": 9.0, "trade_id": str(n)}) + "\n" for n in range(3))
    )
    code, out, err = run("replay", "-c", config, events, "--alerts", "-")
    assert code in (0, INTERRUPTED)
    assert_safe(out)
    assert_safe(err)


@pytest.mark.parametrize("transition", ["fired", "updated", "resolved"])
def test_receivers_for_people_show_it_as_it_is(transition: str, on: str, tmp_path: Path) -> None:
    body = hostile({**ALERT, "transition": transition})
    del body["id"], body["number"]
    note = {"note": HOSTILE, "why": HOSTILE, "behind_s": 900.0}
    for origin in ("detect", "service"):
        given = replace(delivery("a1", 2, **note), body=json.dumps({**body, "origin": origin}).encode())
        written = io.StringIO()
        receiver = ConsoleReceiver(SafeConsole(file=written, force_terminal=on == "a terminal"))
        receiver.deliver(given, lambda *_: None)
        assert_safe(written.getvalue())
        for shown in (message(given, ["<!here>"]), reply(given), rise(given)):
            for text in texts({"blocks": list(shown.blocks), "text": shown.text}):
                assert_safe(text)


def test_a_text_that_is_cut_short_breaks_no_line() -> None:
    from alerts.language.symbols import SymbolTable
    from alerts.text_template import MAX_LENGTH, compile_text

    template = compile_text("{symbol}", SymbolTable.of())
    said = template.format({"symbol": "x" * (MAX_LENGTH - 40) + "\n" + FORGED * 3})
    assert "\n" not in said


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_line_of_the_log_cannot_be_forged(style: Any, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(LogSettings(format=style, level="info"))
    try:
        raise TapewatchError(HOSTILE)
    except TapewatchError as error:
        structlog.get_logger().exception(HOSTILE, reason=HOSTILE, of={"x": HOSTILE}, why=error)
    shown = capsys.readouterr().err
    assert_safe(shown)
    if style == "console":
        assert all(line.startswith("    | ") for line in shown.splitlines()[1:])
    else:
        assert json.loads(shown)["reason"] == HOSTILE


def test_the_traceback_of_a_bug_cannot_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import threading

    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    set_up_tracebacks()
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    assert_safe(shown)
    assert all(line.startswith("    | ") for line in shown.splitlines())


def test_files_of_alerts_hold_what_they_are_told_in_words_of_their_own(tmp_path: Path) -> None:
    given = delivery("a1", 0, symbol=HOSTILE, text=HOSTILE, values={"a": HOSTILE})
    FileReceiver(tmp_path / "alerts").deliver(given, lambda *_: None)
    (line,) = (tmp_path / "alerts").read_bytes().splitlines()
    assert json.loads(line) == json.loads(given.body)
    assert_safe(line.decode())


def test_no_other_way_leads_to_a_terminal() -> None:
    """Only the consoles that escape are made, and nothing else prints or writes to a stream."""
    root = Path(__file__).parents[2]
    ways = re.compile(
        r"(?<![\w.])print\(|typer\.echo|(?<!\w)Console\(|rich\.table|std(out|err)\.write|rich\.print"
    )
    allowed = {
        "alerts/receivers/safe_console.py",
        "streamer/cli/plain_lines.py",  # lines that are escaped
        "streamer/cli/whole_output.py",  # what anything prints, as its character set has it
        "streamer/cli/logs.py",  # the traceback of a bug, escaped
        "streamer/cli/__init__.py",  # a line of ours while modules load
    }
    found = {
        str(path.relative_to(root))
        for package in ("streamer", "alerts", "detectors")
        for path in (root / package).rglob("*.py")
        for line in path.read_text().splitlines()
        if ways.search(line) and not re.match(r"\s*(>>>|\.\.\.|#|def |class )|.*\bdef \w*print\(", line)
    }  # fmt: skip
    assert found <= allowed
    assert issubclass(SafeConsole, Console)
