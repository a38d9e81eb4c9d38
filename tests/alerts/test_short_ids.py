"""The eight digits that people see are what commands take."""

from __future__ import annotations

from pathlib import Path

import forked
import pytest
from fakes.alert_bodies import commit

from streamer.store.database import open_store

ROOT = Path(__file__).parents[2]
ID, OTHER = "3f9a0c125de04b77a1c06f2d9be81c44", "3f9a77aa5de04b77a1c06f2d9be81c44"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "tapewatch.db"
    database = open_store(str(path))
    commit(database, (ID, 0), (ID, 1), (OTHER, 0))
    database.close()
    return path


def tapewatch(*arguments: str | Path, expect: int = 0) -> str:
    done = forked.tapewatch(*arguments, folder=ROOT)
    assert done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def test_what_is_listed_can_be_asked_for(store: Path) -> None:
    listed = tapewatch("alerts", "--store", store)
    assert " 3f9a0c12" in listed
    assert ID[:9] not in listed
    assert ID in tapewatch("alerts", "--store", store, "--json")
    for given in ("3f9a0c12", "3f9a0c12-1", "3F9A0C12", ID, f"{ID}-0"):
        shown = tapewatch("why", given, "--store", store)
        assert "id         3f9a0c12\n" in shown
        assert ID in tapewatch("why", given, "--store", store, "--json")


def test_a_beginning_that_two_share_is_refused(store: Path) -> None:
    assert "is the beginning of several alerts" in tapewatch("why", "3f9a", "--store", store, expect=1)
