"""`tapewatch demo`, run as a person runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import forked
import pytest

from streamer.config.load import load_text
from streamer.demo.configuration import DEMO_CONFIG
from streamer.pipeline.compile import compile_plan
from streamer.sources.simulator import KINDS


def tapewatch(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    if hash_seed == "0":
        return forked.tapewatch(*arguments, environ={"COLUMNS": "200"}, timeout_s=300)
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "COLUMNS": "200"}
    command = [sys.executable, "-m", "streamer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=300, check=False)


@pytest.fixture(scope="module", params=["15", pytest.param("30", marks=pytest.mark.long)])
def minutes(request: pytest.FixtureRequest) -> str:
    """The shortest demonstration, and in the long form the one that is shown if no length is asked for."""
    return str(request.param)


@pytest.fixture(scope="module")
def store(minutes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "demo.db"


@pytest.fixture(scope="module")
def ran(minutes: str, store: Path) -> subprocess.CompletedProcess[str]:
    return tapewatch("demo", "--minutes", minutes, "--store", str(store))


def test_every_kind_is_caught_and_nothing_else_is_said(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.returncode == 0, ran.stderr
    assert "MISSED" not in ran.stdout
    for kind in KINDS:
        assert re.search(rf"│ {kind} +│ \w+ +│ +\d+\.\d s │", ran.stdout), kind
    assert f"{len(KINDS)} of {len(KINDS)} planted anomalies caught" in ran.stdout
    told = re.search(r"^(\d+) false alarms? in (\d+\.\d\d) symbol-days(.*)$", ran.stdout, re.MULTILINE)
    assert told is not None
    assert int(told[1]) / float(told[2]) <= 1.0
    assert bool(told[3]) == (float(told[2]) >= 1), "minutes say nothing about a day"


def test_alerts_and_progress_are_plain_lines_where_there_is_no_terminal(
    ran: subprocess.CompletedProcess[str],
) -> None:
    assert "\x1b" not in ran.stderr
    assert "CRITICAL spoofing sim" in ran.stderr
    assert "RESOLVED spoofing sim" in ran.stderr
    assert len(re.findall(r"simulated \(\d+%\) +[\d,]+ events", ran.stderr)) >= 8


@pytest.mark.long  # of the fold alone, test_batch_sizes shows it
def test_another_hash_seed_gives_the_same_alerts_and_verdict(
    ran: subprocess.CompletedProcess[str], store: Path, minutes: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    again = tapewatch("demo", "--minutes", minutes, "--store", str(other), hash_seed="1")
    assert again.stdout == ran.stdout
    listed = [
        tapewatch("alerts", "--store", str(each), "--json", "-n", "500").stdout for each in (store, other)
    ]
    assert listed[0] == listed[1]
    fired = [json.loads(line) for line in listed[0].splitlines()]
    assert len(fired) >= 2 * len(KINDS)


def test_a_kept_store_answers_why(ran: subprocess.CompletedProcess[str], store: Path) -> None:
    assert ran.returncode == 0
    first = tapewatch("alerts", "--store", str(store), "--rule", "spoofing", "--json").stdout.splitlines()[0]
    why = tapewatch("why", json.loads(first)["id"], "--store", str(store))
    assert why.returncode == 0, why.stderr
    assert "pulled_size_5s" in why.stdout
    again = tapewatch("demo", "--store", str(store))
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_it_shows_the_configuration_it_runs_with() -> None:
    shown = tapewatch("demo", "--show-config")
    assert shown.returncode == 0
    assert (
        compile_plan(load_text(shown.stdout)).config_hash == compile_plan(load_text(DEMO_CONFIG)).config_hash
    )


def test_a_configuration_of_ones_own_decides_what_is_found(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "source: {files: [{match: simulated, format: tapewatch}]}\n"
        "rules: {fat_finger: {when: size > 50 * size_mean_1h and notional > 250k}}\n"
        "receivers: {console: {console: {}}}\n"
    )
    ran = tapewatch("demo", "--config", str(own), "--minutes", "15")
    assert ran.returncode == 0, ran.stderr
    assert f"1 of {len(KINDS)} planted anomalies caught" in ran.stdout


def test_a_configuration_that_reads_nothing_simulated_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "source: {files: [{match: other, format: tapewatch}]}\n"
        "rules: {big: {when: size > 1}}\nreceivers: {console: {console: {}}}\n"
    )
    refused = tapewatch("demo", "--config", str(own))
    assert refused.returncode == 2
    assert "source.files needs an entry that matches 'simulated'" in refused.stderr
