"""Which version may fold a journal, and where a log that nobody knows is begun."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, S, market, records, trade
from pipeline_world import Crash, World, cycle

from streamer.errors import TapewatchError
from streamer.messages.fold_version import FOLD_VERSION, CodeVersion, code_version
from streamer.messages.logs import LogExtent
from streamer.messages.records import Partition

RECORDS = market(150, seed=31)


def source(size: int = 30) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle([size]))


def left_by(stored: str, folder: Path) -> World:
    """A store with a pending journal that says it was written by this version."""
    world = World(folder, every_s=1e9)
    world.killed(source(), 3)
    world.ask("UPDATE tasks SET code_version = ?", stored)
    return world


def test_a_journal_of_another_fold_is_not_folded_unless_that_is_wanted(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    whole.run(source())
    world = left_by("0.0.9+fold0", tmp_path / "store")
    with pytest.raises(
        TapewatchError,
        match=r"journal of trades\[0\] was written by tapewatch 0\.0\.9 with fold version 0; this is "
        rf"tapewatch \S+ with fold version {FOLD_VERSION}: let that version, or another with fold version 0, "
        r"stop cleanly \(SIGTERM\).*--accept-rederivation",
    ):
        world.run(source())
    world.accept = True
    world.killed(source(), 2)
    assert world.ask("SELECT code_version FROM tasks") == [("0.0.9+fold0",)], "it is still that journal"
    world.run(source())
    assert world.ask("SELECT code_version FROM tasks") == [(code_version(),)]
    assert world.alerts() == whole.alerts()


@pytest.mark.parametrize("package", ["0.1.0", "0", "9.9.9rc1.dev2+local.1", "1.0+fold9"])
def test_a_journal_of_this_fold_is_folded_whichever_package_wrote_it(package: str, tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    whole.run(source())
    world = left_by(f"{package}+fold{FOLD_VERSION}", tmp_path / "store")
    world.run(source())
    assert world.alerts() == whole.alerts()
    assert world.ask("SELECT code_version FROM tasks") == [(code_version(),)]


UNREADABLE = [
    "",
    "0.1.0",
    f"+fold{FOLD_VERSION}",
    f"0.1.0+fold{FOLD_VERSION} ",
    f"0.1.0+fold0{FOLD_VERSION}",
    f"0.1.0+fold{FOLD_VERSION}\n",
    f"0.1.0+fold-{FOLD_VERSION}",
    f"0.1.0+fold{FOLD_VERSION}.0",
    "0.1.0+fold\N{ARABIC-INDIC DIGIT THREE}",
    "0.1.0+fold" + "9" * 5_000,
]


@pytest.mark.parametrize("stored", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_journal_whose_writer_cannot_be_read_counts_as_another_folds(stored: str, tmp_path: Path) -> None:
    world = left_by(stored, tmp_path / "store")
    with pytest.raises(TapewatchError) as refused:
        world.run(source())
    assert f"was written by {stored!r}, which names no fold version; this is tapewatch " in str(refused.value)
    assert "let the version that wrote it stop cleanly (SIGTERM)" in str(refused.value)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1),
    st.integers(0, 10**9 - 1),
)
def test_what_is_written_beside_a_journal_is_read_back(package: str, fold: int) -> None:
    assert CodeVersion.parse(f"{package}+fold{fold}") == (package, fold)


@given(st.text())
def test_any_stored_text_is_read_or_is_not_a_version(stored: str) -> None:
    found = CodeVersion.parse(stored)
    assert found is None or f"{found.package}+fold{found.fold}" == stored


def test_another_version_goes_on_from_a_clean_stop(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    whole.run(source())
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    world.ask("UPDATE tasks SET code_version = '0.0.9+fold0'")
    world.ask("UPDATE checkpoints SET code_version = '0.0.9+fold0'")
    world.run(source())
    assert world.alerts() == whole.alerts()


def test_a_state_that_this_version_cannot_take_up_is_refused_in_words(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    (name,) = world.files()
    data = (world.checkpoints / name).read_bytes()
    other = data.replace(b"|told_at", b"|told_xx")
    assert other != data
    (world.checkpoints / name).write_bytes(other)
    world.ask(
        "UPDATE checkpoints SET sha256 = ?, code_version = '9+fold9'", hashlib.sha256(other).hexdigest()
    )
    with pytest.raises(TapewatchError, match=r"trades\[0\] was written by tapewatch 9 with fold version 9;"):
        world.run(source())


def test_a_configuration_that_means_nothing_to_this_version_is_refused_in_words(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    world.ask("UPDATE checkpoints SET config_hash = 'old'")
    with pytest.raises(TapewatchError, match="does not hold configuration old"):
        world.run(source())
    world.ask(
        "INSERT INTO configs (hash, text, created_at) VALUES ('old', ?, 0)", json.dumps({"version": 99})
    )
    with pytest.raises(TapewatchError, match="cannot read a configuration in the store"):
        world.run(source())


def partitions(count: int, start: int | None) -> list[MemoryLog]:
    return [
        MemoryLog(Partition("trades", "t1", number), market(40, seed=number), start=start)
        for number in range(count)
    ]


def test_start_is_asked_once_and_for_all_partitions_together(tmp_path: Path) -> None:
    world = World(tmp_path / "store")

    class DiesAfter(ListSource):
        def assign(self, logs: object) -> None:
            assert self.assignments is not None
            self.assignments.assigned([LogExtent.of(log.described()) for log in partitions(3, 30)])
            raise Crash

    with pytest.raises(Crash):
        world.run(DiesAfter(partitions(3, 30)))
    assert world.ask("SELECT partition, position FROM members") == [(0, 30), (1, 30), (2, 30)]
    grown = partitions(5, 40)
    world.run(ListSource(grown))
    assert world.ask("SELECT partition, position FROM members") == [(0, 30), (1, 30), (2, 30), (3, 0), (4, 0)]
    consumed = dict.fromkeys(range(5), 0)
    for step in world.seen:
        consumed[step.task.partition.partition] += step.records
    assert consumed == {0: 10, 1: 10, 2: 10, 3: 40, 4: 40}


def test_a_failure_while_starts_are_stored_leaves_none_of_them(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(ListSource([]))
    world.ask(
        "CREATE TRIGGER broken BEFORE INSERT ON tasks WHEN NEW.partition = 2 "
        "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    )
    with pytest.raises(Exception, match="disk is full"):
        world.run(ListSource(partitions(3, 30)))
    assert world.ask("SELECT * FROM tasks") == []
    world.ask("DROP TRIGGER broken")
    world.run(ListSource(partitions(3, 30)))
    assert world.ask("SELECT partition, position FROM members") == [(0, 30), (1, 30), (2, 30)]


def test_what_the_store_knows_goes_before_what_start_says(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    log = MemoryLog(LOG, records([(T0 + at * S, trade(T0 + at * S, 100.0)) for at in range(10)]), start=4)
    world.run(ListSource([log], cycle([2])), polls=2)
    log.start = 10
    world.run(ListSource([log]))
    assert [step.records for step in world.seen] == [2, 2, 2]
    assert sum(step.records for step in world.seen) == 6
