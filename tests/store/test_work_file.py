"""The file that says what a process was working on, as the next one reads it."""

from __future__ import annotations

from pathlib import Path

from streamer.messages.records import Partition
from streamer.store.work_file import Deaths, WorkFile, left_work

LOG = Partition("trades", "t1", 3)


def test_the_longest_names_are_cut_short_and_all_else_is_kept(tmp_path: Path) -> None:
    path, name, log = tmp_path / "work", "\N{GRINNING FACE}" * 3000, Partition("t" * 249, "t1.2", 3)
    deaths = None
    for _ in range(2):
        file = WorkFile(path, 1.5, deaths)
        file.reading(log, 10, 19, live=True)
        file.enter(name, "v" * 12)
        assert file.freeze()
        left = left_work(path)
        assert left == file.left()
        assert left is not None
        assert left.deaths == deaths
        assert left.detector
        assert name.startswith(left.detector)
        assert (left.version, left.log, left.first, left.live) == ("v" * 12, log, 10, True)
        deaths = Deaths(left.detector, left.version, log, 10, 19, 2)


def test_a_file_damaged_from_outside_blames_nobody(tmp_path: Path) -> None:
    path = tmp_path / "work"
    file = WorkFile(path, 1.5)
    file.enter("mine", "v")
    with path.open("r+b") as damaging:
        damaging.seek(512)
        damaging.write(b"\xff" * 4000)
    file.stuck(61)
    left = file.left()
    assert (left.started_at, left.ended, left.stuck_s, left.detector) == (1.5, "stuck", 61, "")
    assert left_work(path) is None


def test_where_work_goes_on_after_all_nothing_is_frozen(tmp_path: Path) -> None:
    path = tmp_path / "work"
    file = WorkFile(path, 1.5)
    file.reading(LOG, 10, 19, live=True)
    file.enter("slow", "v")
    assert not file.freeze(lambda: True)
    file.enter("next", "v")
    assert file.left().detector == "next"
    assert file.freeze(lambda: False)
    file.leave()
    file.enter("other", "v")
    assert file.left().detector == "next", "what is to blame stays"
