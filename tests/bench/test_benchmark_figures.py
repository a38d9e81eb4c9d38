"""Figures, their medians, and the page that is written from them."""

from __future__ import annotations

import doctest
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import contest, figures, stopwatch, table, workload
from benchmarks.contest import percentiles, take
from benchmarks.figures import Figure, WrongResultError, must
from benchmarks.rows import ROWS
from benchmarks.stopwatch import Stopwatch, recorded


@pytest.mark.parametrize(
    "module", [contest, figures, stopwatch, table, workload], ids=lambda one: one.__name__
)
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_runs_are_taken_in_turn() -> None:
    order: list[str] = []
    values = iter([1.0, 10.0, 4.0, 8.0, 2.0, 30.0])

    def run(name: str) -> float:
        order.append(name)
        return next(values)

    taken = take({"a": lambda: run("a"), "b": lambda: run("b")}, 3, lambda _: None)
    assert order == ["a", "b"] * 3
    assert taken.rate("a", "a").value == 2.0
    assert taken.rate("a", "a").spread == (1.0, 4.0)
    assert taken.ratio("b", "a", "b by a").value == 10.0  # of 10, 2 and 15, and not 10 / 2


def test_what_is_missing_has_no_figure_and_a_reason() -> None:
    taken = take({"a": lambda: 1.0}, 1, lambda _: None, {"b": "not here"})
    for figure in (taken.ratio("a", "b", "a by b", least=1.0), taken.rate("b", "b")):
        assert (figure.value, figure.note, figure.verdict) == (None, "not here", "not run")


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([1, 50, 90, 99, 99.9, 100]))
def test_percentiles_are_values_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    (found,) = percentiles(values, share)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= share * len(values) * (1 - 1e-12)
    assert sum(value < found for value in values) * 100 < share * len(values)


def test_a_wrong_result_is_no_figure() -> None:
    must(True, "right")
    with pytest.raises(WrongResultError, match="lost"):
        must(False, "records were lost")


class _Work:
    def outer(self) -> None:
        time.sleep(0.02)
        self.inner()

    def inner(self) -> None:
        time.sleep(0.05)


def test_a_stopwatch_counts_what_is_within_once_and_leaves_nothing_behind() -> None:
    watch, before = Stopwatch(), (_Work.outer, _Work.inner)
    with watch.on([(_Work, "outer", "outer"), (_Work, "inner", "inner")]):
        began = time.perf_counter()
        _Work().outer()
        took = time.perf_counter() - began
    assert (_Work.outer, _Work.inner) == before
    assert watch.calls == {"outer": 1, "inner": 1}
    assert 0.05 <= watch.seconds["inner"] <= took - 0.02
    assert sum(watch.seconds.values()) <= took


def test_calls_are_recorded_even_where_they_fail() -> None:
    before = _Work.inner
    with recorded(_Work, "inner") as calls, pytest.raises(TypeError):
        _Work().inner("one too many")  # type: ignore[call-arg]
    assert _Work.inner is before
    assert len(calls) == 1


MEASURED = {
    "a": ("Full", [Figure("ratio", 14.2, "x", least=12.0, spread=(13.0, 15.0)), Figure("rate", 6e5, "/s")]),
    "h": (
        "latency",
        [Figure("p99", 61.0, "ms", most=50.0), Figure("peer", None, "x", 1.0, note="not run: no")],
    ),
}
MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gb": 8,
    "system": "Linux",
    "python": "3.11",
    "versions": {"numpy": "2"},
}
HOW = {"events": 1000, "peer_events": 10, "rounds": 5, "batch_size": 500, "captures": "small ones"}


def test_a_page_gets_its_figures_between_its_marks() -> None:
    document = json.loads(table.as_json(MEASURED, MACHINE, HOW))
    page = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    written = table.written_into(page, table.page_part(document))
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert "| **a** | ratio | at least 12.0x | **14.2x** | 13.0x to 15.0x |" in written
    assert "| **h** | p99 | at most 50.0 ms | **61.0 ms** |" in written
    assert "| **not run** | not run: no |" in written
    assert table.written_into(written, table.page_part(document)) == written
    with pytest.raises(ValueError, match="the page has no"):
        table.written_into("a page without", "figures")


def test_the_terminal_says_what_is_reached_and_missed() -> None:
    lines = [line for line in table.text(MEASURED).splitlines() if line]
    assert [line.split()[0] for line in lines] == ["a", "ratio", "rate", "h", "p99", "peer"]
    assert [word for line in lines for word in ("reached", "missed", "not run: no") if word in line] == [
        "reached",
        "missed",
        "not run: no",
    ]


def test_the_page_shows_what_was_measured_and_nothing_else() -> None:
    page = table.PAGE.read_text("utf-8")
    part = table.NOT_YET
    if table.RESULTS.exists():
        part = table.page_part(json.loads(table.RESULTS.read_text()))
    assert table.written_into(page, part) == page


def test_the_page_tells_of_every_row() -> None:
    told = re.findall(r"^\| \*\*([a-z])\*\* \| ", table.PAGE.read_text("utf-8").partition(table.END)[2], re.M)
    assert told == [row.letter for row in ROWS]
