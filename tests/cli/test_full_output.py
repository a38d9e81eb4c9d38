"""Standard output and error that are full, closed, or of a poor character set: on the real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from fakes.alert_bodies import commit
from fakes.delivering import route_all

from streamer.store.database import open_store


def tapewatch(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streamer", *arguments]
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(command, text=True, check=False, timeout=60, **given)  # type: ignore[call-overload]


@pytest.fixture
def store(tmp_path: Path) -> str:
    database = open_store(str(tmp_path / "t.db"))
    commit(database, ("a1", 0), symbol="Δé😀")
    route_all(database, ["ops"], 1_000.0)
    database.close()
    return str(tmp_path / "t.db")


def test_a_full_disk_behind_stdout_is_told_in_one_line(store: str) -> None:
    for arguments in (("alerts", "--store", store), ("--help",)):
        with Path("/dev/full").open("w") as full:
            done = tapewatch(*arguments, stdout=full)
        said = "cannot write to standard output: No space left on device\n"
        assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize(
    ("arguments", "stderr"),
    [
        ("check --nosuch", "/dev/full"),
        ("run --nosuch", "/dev/full"),
        ("check --offline -c nosuch.yaml", "&-"),
        pytest.param("check --offline -c nosuch.yaml", "/dev/full", marks=pytest.mark.long),
        pytest.param("check --nosuch", "&-", marks=pytest.mark.long),
    ],
)
def test_the_exit_code_is_the_same_where_stderr_is_full_or_closed(arguments: str, stderr: str) -> None:
    command = f"{sys.executable} -m streamer {arguments} 2>{stderr}"
    assert subprocess.run(["sh", "-c", command], check=False, timeout=60).returncode == 2


def test_a_reader_who_has_seen_enough_is_no_failure(store: str) -> None:
    read, write = os.pipe()
    os.close(read)
    done = tapewatch("alerts", "--store", store, stdout=write)
    assert (done.returncode, done.stderr) == (0, "")
    assert tapewatch("alerts", "--nosuch", stdout=write, stderr=write).returncode == 2
    os.close(write)


@pytest.mark.parametrize(
    ("charset", "shown"),
    [
        ("ascii", r"\u0394\xe9\U0001f600"),
        pytest.param("latin-1", "\\u0394é\\U0001f600", marks=pytest.mark.long),
    ],
)
def test_what_a_character_set_lacks_is_written_by_its_number(store: str, charset: str, shown: str) -> None:
    given = {"env": {**os.environ, "PYTHONIOENCODING": charset}, "encoding": "latin-1"}
    assert shown in tapewatch("alerts", "--store", store, **given).stdout
    done = tapewatch("alerts", "--store", store, "--json", **given)
    assert json.loads(done.stdout)["symbol"] == "Δé😀"


def test_numbers_and_receivers_that_cannot_be_are_wrong_usage(store: str) -> None:
    many = 20 * "9"
    assert forked.tapewatch("alerts", "--store", store, "-n", many).returncode == 2
    assert forked.tapewatch("dead-letters", "--store", store, "--id", many).returncode == 2
    done = forked.tapewatch("alerts", "--store", store, "--retry-parked", "op")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "--retry-parked: there is no receiver 'op' (did you mean 'ops'?): there are ops\n"
