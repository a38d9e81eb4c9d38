"""Files that belong together are one log: replayed in parts, a day gives what the day gives."""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from streamer.app.replay import ReplayTotals, replay
from streamer.cli.app import application
from streamer.config.load import load_text
from streamer.pipeline.allowance import Allowance
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner_context import StepResult
from streamer.pipeline.scores import score_rows
from streamer.sources.files.file_logs import file_inputs
from streamer.sources.files.file_source import FileSource

S, MS = 10**9, 10**6
NOON = 1_722_513_600 * S
CONFIG = """
source:
  files:
    - {{match: "*", format: tapewatch{options}}}
detectors:
  tape:
    model: HalfSpaceTrees
    on: trade
    features: [return_bps_10s, log_notional_10s, trade_rate_10s]
    params: {{n_trees: 3, height: 4, window_size: 20, seed: 7}}
rules:
  extends: [market-data-quality]
  big_trade: {{when: size > 1.9 * size_mean_1h, clear: 1s, severity: info}}
  off: {{when: abs(trade_to_mid_bps) > 20bps, on: trade, clear: 1s}}
  busy: {{when: size > 2 * size_mean_1h and order_rate_10s > 0.2, clear: 1s}}
"""


class Event(NamedTuple):
    """An event of the day, and when it was received."""

    received: int
    kind: str
    symbol: str
    line: str


@cache
def plan(options: str = "") -> Plan:
    return compile_plan(load_text(CONFIG.format(options=options)))


@cache
def day(count: int = 5_000, *, lagging: bool = False) -> tuple[Event, ...]:
    """A day's trades, quotes and orders of four instruments, as received; quotes may be seconds late."""
    rng, at, events = random.Random(5), NOON, list[Event]()
    for number in range(count):
        at += rng.randrange(1, 400 * MS)
        symbol, kind = f"S{rng.randrange(4)}", rng.choice(["trade", "trade", "quote", "order"])
        price = 100 + rng.gauss(0, 0.1)
        ts = at - rng.randrange(2 * S) if lagging and kind == "quote" else at
        event: dict[str, Any] = {"event_type": kind, "venue": "x", "symbol": symbol, "ts_event": ts}
        if kind == "quote":
            event |= {"bid_price": price - 0.05, "bid_size": 1, "ask_price": price + 0.05, "ask_size": 1}
        elif kind == "trade":
            event |= {"price": price, "size": rng.randrange(1, 50), "trade_id": str(number)}
        else:
            event |= {"action": "new", "side": "buy", "price": price, "size": 1, "order_id": str(number)}
        junk = rng.random() < 0.01
        events.append(Event(at, kind, symbol, "{" if junk and lagging else json.dumps(event)))
    return tuple(events)


def written(
    folder: Path, events: Sequence[Event], part: Callable[[Event], str], *, timed: bool
) -> list[Path]:
    """The events in files, as `part` names them."""
    lines: dict[str, list[str]] = {}
    for event in events:
        line = f"{event.received} {event.line}" if timed else event.line
        lines.setdefault(part(event), []).append(line)
    for name, of in lines.items():
        data = "\n".join(of).encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return [folder / name for name in lines]


class Found(NamedTuple):
    """What a replay gave, without what names files, offsets and ids."""

    bodies: list[Any]
    scores: list[tuple[Any, ...]]
    totals: ReplayTotals


def folded(paths: Sequence[Path], batch_size: int = 500, options: str = "", **more: Any) -> Found:
    bodies, scores = list[Any](), list[tuple[Any, ...]]()

    def watch(step: StepResult) -> None:
        for transition in step.outcome.transitions:
            body = json.loads(transition.body)
            bodies.append({name: value for name, value in body.items() if name not in ("id", "source")})
        for _, _, venue, symbol, ts, _, index, *rest in score_rows(step.task, step.outcome):
            scores.append((venue, symbol, ts, index, *rest))

    config = load_text(CONFIG.format(options=options))
    files = file_inputs(paths, config.settings.source.files)
    source = FileSource(files, batch_size)
    totals = replay(plan(options), source, batch_size=batch_size, watch=watch, **more)
    return Found(bodies, scores, totals)


def whole(folder: Path, events: Sequence[Event], *, timed: bool) -> list[Path]:
    return written(folder, events, lambda _: "day.jsonl", timed=timed)


PARTS: Mapping[str, Callable[[Event], str]] = {
    "hours": lambda event: f"h{(event.received - NOON) // (300 * S)}.jsonl",
    "kinds": lambda event: f"{event.kind}.jsonl.gz",
    "instruments": lambda event: f"{event.symbol}.jsonl",
    "both": lambda event: f"{event.symbol}_{event.kind}_{(event.received - NOON) // (300 * S)}.jsonl",
}


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("parts", PARTS)
def test_a_day_in_parts_gives_what_the_day_gives(tmp_path: Path, parts: str, timed: bool) -> None:
    events, options = day(lagging=timed), ", receive_time: ns" if timed else ""
    expected = folded(whole(tmp_path, events, timed=timed), options=options)
    assert len(expected.bodies) > 60
    assert any(rarity is not None for *_, rarity, _ in expected.scores)
    assert {"off", "busy", "big_trade"} <= {body["rule"] for body in expected.bodies}
    paths = written(tmp_path, events, PARTS[parts], timed=timed)
    for order, batch_size in ((paths, 500), (paths[::-1], 61)):
        found = folded(order, batch_size, options)
        assert found.bodies == expected.bodies
        assert found.scores == expected.scores
        assert found.totals.dead == expected.totals.dead
        assert found.totals.late == expected.totals.late


def test_batches_of_any_size_agree(tmp_path: Path) -> None:
    events = day(400, lagging=True)
    paths = written(tmp_path, events, PARTS["kinds"], timed=True)
    first, *others = (folded(paths, size, ", receive_time: ns")[:2] for size in (1, 7, 500, 5000))
    assert len(first[1]) > 100
    assert others == [first] * 3


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=300, max_size=300), st.booleans(), st.sampled_from([7, 500]))
def test_however_a_day_is_dealt_out_to_files(
    tmp_path_factory: pytest.TempPathFactory, dealt: list[int], timed: bool, batch_size: int
) -> None:
    folder, options = tmp_path_factory.mktemp("parts"), ", receive_time: ns" if timed else ""
    events = day(300, lagging=timed)
    of = {event.received: f"{number}.jsonl" for event, number in zip(events, dealt, strict=True)}
    paths = written(folder, events, lambda event: of[event.received], timed=timed)
    found = folded(paths, batch_size, options)
    expected = folded(whole(folder, events, timed=timed), 500, options)
    assert (found.bodies, found.scores) == (expected.bodies, expected.scores)


def test_files_that_are_kept_apart_are_logs_of_their_own(tmp_path: Path) -> None:
    paths = written(tmp_path, day(600), PARTS["instruments"], timed=False)
    together = folded(paths, options=", logs: each")
    alone = [folded([path]) for path in paths]
    assert together.bodies == [body for found in alone for body in found.bodies]
    assert together.scores == [row for found in alone for row in found.scores]


def test_a_limit_counts_in_the_order_of_the_log(tmp_path: Path) -> None:
    events = day(600)
    paths = written(tmp_path, events, PARTS["kinds"], timed=False)
    found = folded(paths, 50, allowance=Allowance(limit=333))
    expected = folded(whole(tmp_path, events[:333], timed=False))
    assert found.totals.records == expected.totals.records == 333
    assert (found.bodies, found.scores) == (expected.bodies, expected.scores)


def test_an_event_that_lies_does_not_hold_its_file_back(tmp_path: Path) -> None:
    events = list(day(1_000))
    liar = next(number for number, event in enumerate(events) if event.kind == "trade" and number > 400)
    lie = json.loads(events[liar].line) | {"ts_event": events[liar].received + 10 * 86_400 * S}
    events[liar] = events[liar]._replace(line=json.dumps(lie))
    found = folded(written(tmp_path, events, PARTS["instruments"], timed=False))
    ahead, told = 0, list[int]()
    for _, _, ts, *_ in found.scores:
        if ts != lie["ts_event"]:
            told.append(ahead - ts)
            ahead = max(ahead, ts)
    assert len(told) > 400
    assert max(told) < 10 * S
    (disorder,) = [each for each in found.totals.disorders.values() if each.count]
    assert disorder.most_ns > 9 * 86_400 * S


def run(*arguments: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(application([str(arguments[0])]), [str(each) for each in arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tapewatch.yaml"
    path.write_text(CONFIG.format(options=""))
    return path


def test_the_command_line_is_one_log(tmp_path: Path, config: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    events = day(2_000)
    paths = written(folder, events, PARTS["hours"], timed=False)
    assert len(paths) == 2
    _, one, _ = run("replay", "-q", "-c", config, *whole(folder, events, timed=False), "--alerts", "-")
    _, two, _ = run("replay", "-q", "-c", config, *paths, "--alerts", "-")
    alike = [[json.loads(line) for line in text.splitlines()] for text in (one, two)]
    assert {body["source"]["topic"] for body in alike[1]} == {"h0.jsonl", "h1.jsonl"}
    for bodies in alike:
        for body in bodies:
            del body["id"], body["source"]
    assert len(alike[0]) > 20
    assert alike[0] == alike[1]


def test_files_of_one_name_are_told_apart(tmp_path: Path, config: Path) -> None:
    for folder, part in {"a": day(400)[:200], "b": day(400)[200:]}.items():
        (tmp_path / folder).mkdir()
        whole(tmp_path / folder, part, timed=False)
    paths = tmp_path / "a" / "day.jsonl", tmp_path / "b" / "day.jsonl"
    code, told, _ = run("replay", "-q", "-c", config, *paths, "--alerts", "-")
    assert code == 0
    sources = {json.loads(line)["source"]["topic"] for line in told.splitlines()}
    assert sources == {"a/day.jsonl", "b/day.jsonl"}


def test_a_damaged_file_ends_and_the_others_go_on(tmp_path: Path, config: Path) -> None:
    paths = written(tmp_path, day(2_000), lambda event: f"{event.kind}.jsonl.gz", timed=False)
    quotes = tmp_path / "quote.jsonl.gz"
    quotes.write_bytes(quotes.read_bytes()[:8_000])
    code, alerts, told = run("replay", "-q", "-c", config, *paths, "--alerts", "-")
    assert code == 1
    assert "quote.jsonl.gz is damaged or not what its name says" in told
    trades = [json.loads(line)["source"] for line in alerts.splitlines()]
    assert max(each["offset"] for each in trades if each["topic"] == "trade.jsonl.gz") > 900


def test_a_file_without_events_is_told_and_the_others_are_replayed(tmp_path: Path, config: Path) -> None:
    paths = written(tmp_path, day(400), PARTS["kinds"], timed=False)
    empty = {
        "none.jsonl": b"",
        "none.gz": b"",
        "packed.jsonl.gz": gzip.compress(b""),
        "blank.jsonl": b"\n \n",
    }
    for name, content in {**empty, "header.csv": b"symbol,price\n"}.items():
        (tmp_path / name).write_bytes(content)
    without = [tmp_path / name for name in (*empty, "header.csv")]
    plain = run("replay", "-q", "-c", config, *paths, "--alerts", "-")
    code, alerts, told = run("replay", "-q", "-c", config, *without, *paths, "--alerts", "-")
    assert (code, alerts) == (0, plain[1])
    assert [f"warning: {path} holds no events" in " ".join(told.split()) for path in without] == [True] * 5
    code, _, told = run("replay", "-q", "-c", config, *without)
    assert (code, "holds no events" in told) == (1, True)


def test_instruments_of_a_file_that_a_join_leaves_out_are_told(tmp_path: Path, config: Path) -> None:
    paths = written(tmp_path, day(400), PARTS["kinds"], timed=False)
    first, *others = [path.name for path in paths]
    assert len(others) > 1
    told = {}
    for options in ("", ", logs: each"):
        joined = CONFIG.format(options=options).replace("source:", f"source:\n  join: [{', '.join(others)}]")
        config.write_text(joined)
        code, _, told[options] = run("replay", "-q", "-c", config, *paths)
        assert code == 0
    words = " ".join(told[""].split())
    assert f"other instruments are in {'+'.join(others)}[0] and in {first}[0]: " in words or (
        f"other instruments are in {first}[0] and in {'+'.join(others)}[0]: " in words
    )
    assert words.count("Write join: [") == 1
    assert all(name in words.partition("Write join: [")[2].partition("]")[0] for name in (first, *others))
    assert "Write join" not in told[", logs: each"]


def test_the_join_to_write_has_the_patterns_of_the_one_there_is(tmp_path: Path, config: Path) -> None:
    numbers = count()
    paths = written(
        tmp_path,
        day(400),
        lambda event: "trades.jsonl" if event.kind == "trade" else f"quotes_{next(numbers) % 20:02}.jsonl",
        timed=False,
    )
    config.write_text(
        CONFIG.format(options="").replace("source:", "source:\n  join: ['quotes_*.jsonl', 'x']")
    )
    code, _, told = run("replay", "-q", "-c", config, *paths)
    assert code == 0
    joins = re.findall(r"Write join: \[([^]]*)\]", " ".join(told.split()))
    assert [sorted(names.split(", ")) for names in joins] == [["quotes_*.jsonl", "trades.jsonl", "x"]]


def test_unsorted_files_are_told_with_the_line(tmp_path: Path, config: Path) -> None:
    events = list(day(400))
    kinds = [event for event in events if event.kind == "trade"]
    first, second = kinds[20], kinds[30]
    swapped = {first.received: second.line, second.received: first.line}
    changed = [event._replace(line=swapped.get(event.received, event.line)) for event in events]
    paths = written(tmp_path, changed, PARTS["kinds"], timed=False)
    code, _, told = run("replay", "-q", "-c", config, *paths)
    assert code == 0
    assert f"warning: {tmp_path}/trade.jsonl.gz:22: its time is before that of a line above it" in told
    assert "quote.jsonl.gz" not in told
    code, _, told = run("replay", "-q", "-c", config, tmp_path / "trade.jsonl.gz")
    assert (code, told.count("its time is before that of a line above it")) == (0, 1)


def test_a_speed_goes_by_event_time_where_there_is_no_other(tmp_path: Path, config: Path) -> None:
    events = day(60)
    lasts_s = (events[-1].received - events[0].received) / S
    for paths in (
        whole(tmp_path, events, timed=False),
        written(tmp_path, events, PARTS["kinds"], timed=False),
    ):
        started = time.monotonic()
        code, _, _ = run("replay", "-q", "-c", config, "--speed", str(lasts_s), *paths)
        assert code == 0
        assert time.monotonic() - started > 0.9
    (tmp_path / "nothing.jsonl").write_text('{"some": "thing"}\n' * 200)
    code, _, told = run("replay", "-q", "-c", config, "--speed", "1", tmp_path / "nothing.jsonl")
    assert code == 1
    assert "no times, neither of receipt nor of events" in " ".join(told.split())


def test_files_without_times_among_others_are_told(tmp_path: Path, config: Path) -> None:
    events = day(60)
    kinds = written(tmp_path, events, PARTS["kinds"], timed=False)
    (tmp_path / "some.jsonl").write_text('{"some": "thing"}\n' * 20)
    for more in (["--speed", "1000000"], []):
        code, _, told = run("replay", "-q", "-c", config, *more, *kinds, tmp_path / "some.jsonl")
        assert (code, told.count("no times to go by, neither of receipt nor of events")) == (0, 1)
        assert f"warning: {tmp_path}/some.jsonl: no times" in " ".join(told.split())
    code, _, told = run("replay", "-q", "-c", config, "--limit", "25", *kinds)
    assert (code, "no times" in told) == (0, False)
