"""The benchmarks' quick form: the work that they time is done right. How long it takes is not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.__main__ import measure
from benchmarks.bench import Bench
from benchmarks.figures import Figure
from benchmarks.rows import ROWS
from benchmarks.runs import NO_PEERS
from benchmarks.scale import QUICK

# a few of everything: each of these has its part of the quick form's checks
SMALL = replace(QUICK, symbols=(10, 100), rules=(1, 4), detectors=(1, 2), growth_events=2_000, new_symbols=20)
NOT_TAKEN = {
    "Full / Quix Streams": NO_PEERS,
    "Full / Bytewax": NO_PEERS,
    "tapewatch run / confluent-kafka with msgspec": NO_PEERS,
    "kernels not compiled": "not run: it takes up to a minute",
}


@pytest.fixture(scope="module")
def bench(broker: str) -> Iterator[Bench]:
    with Bench(SMALL, lambda _: None, bootstrap=broker) as made:
        yield made


ALL = "".join(row.letter for row in ROWS)
IN_LENGTH = "abcdeghiklm"  # all but the three that need neither a broker nor a process for each figure


@pytest.fixture(
    scope="module",
    params=[
        "".join(letter for letter in ALL if letter not in IN_LENGTH),
        pytest.param(ALL, marks=pytest.mark.long),
    ],
)
def letters(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def measured(bench: Bench, letters: str) -> dict[str, list[Figure]]:
    rows = [row for row in ROWS if row.letter in letters]
    # a wrong result raises: other alerts from Kafka or a file than from memory, a lost record, an alert that
    # came twice, a score that is not River's
    return {letter: figures for letter, (_, figures) in measure(bench, rows).items()}


def test_every_row_has_every_figure_that_needs_no_peers(
    letters: str, measured: dict[str, list[Figure]]
) -> None:
    assert ALL == "abcdefghijklmn"
    assert "".join(measured) == letters
    for figures in measured.values():
        for figure in figures:
            if figure.value is None:
                assert NOT_TAKEN.get(figure.name, figure.note) == figure.note != "", figure
            else:
                assert figure.value == figure.value, figure
    missing = {figure.name for figures in measured.values() for figure in figures if figure.value is None}
    assert letters != ALL or NOT_TAKEN.keys() <= missing


def test_rates_and_times_are_of_work_that_was_done(measured: dict[str, list[Figure]]) -> None:
    for figures in measured.values():
        for figure in figures:
            if figure.value is not None and figure.unit in ("/s", "MB", "KB", "s"):
                assert figure.value > 0, figure


def test_shares_add_up(measured: dict[str, list[Figure]]) -> None:
    for workload in ("made market", "captures"):
        shares = {
            figure.name.removeprefix(f"{workload}: "): figure.value
            for figure in measured["f"]
            if figure.name.startswith(workload)
        }
        together = shares.pop("rarity, drift and rules together")
        assert sum(shares.values()) == pytest.approx(100)
        assert together == pytest.approx(shares["rarity"] + shares["rules and episodes"] + shares["drift"])


def test_every_alert_of_the_latency_row_is_accounted_for(measured: dict[str, list[Figure]]) -> None:
    if "h" not in measured:
        pytest.skip("measured in the long form")
    # rate // alerts a second between marked events, after the first second
    (p99,) = [figure for figure in measured["h"] if figure.name.endswith("p99") and figure.most]
    assert p99.note.startswith(f"{SMALL.latency_s * 20} alerts in {SMALL.latency_s} s")
