"""Checkpoints: two are kept, damage falls back, failures are told, and nothing is left lying about."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from list_source import ListSource, MemoryLog
from market_bytes import LOG, MS, T0, market, trade
from pipeline_world import Time, World, cycle, plan_of, state_bytes

from streamer.errors import TapewatchError
from streamer.messages.records import Record
from streamer.pipeline import checkpointing
from streamer.pipeline.state import restore, snapshot
from streamer.store.checkpoints import (
    DamagedCheckpointError,
    checkpoint_name,
    read_checkpoint,
    write_checkpoint,
)

RECORDS = market(300, seed=21)


def source(size: int = 30, endless: bool = False) -> ListSource:
    return ListSource([MemoryLog(LOG, RECORDS)], cycle([size]), endless=endless)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("whole") / "store")
    world.run(source())
    return world


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif how == "cut short":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


def killed_behind_two_checkpoints(world: World) -> list[str]:
    """Checkpoints at 60 and 120, then a kill with a journal behind them; the files, newest first."""
    world.run(source(), polls=2)
    world.run(source(), polls=2)
    world.every_s = 1e9
    world.killed(source(), 3)
    rows = world.ask("SELECT file, json_extract(positions, '$[0]') FROM checkpoints ORDER BY seq DESC")
    assert [row[1] for row in rows] == [120, 60]
    return [row[0] for row in rows]


@pytest.mark.parametrize("how", ["flipped", "cut short", "empty", "gone"])
def test_a_damaged_newest_falls_back_to_the_older(how: str, whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    newest, older = killed_behind_two_checkpoints(world)
    damage(world.checkpoints / newest, how)
    world.every_s = 1e9
    world.killed(source(), 1)
    assert world.ask("SELECT file FROM checkpoints") == [(older,)], "a damaged one never counts again"
    assert world.files() == [older]
    world.run(source())
    assert world.alerts() == whole.alerts()
    assert world.dead() == whole.dead()
    assert len(world.files()) == 2
    damage(world.checkpoints / world.files()[-1], how)
    world.run(source())
    assert world.alerts() == whole.alerts()


def test_what_cannot_be_read_now_is_neither_skipped_nor_removed(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    newest, _ = killed_behind_two_checkpoints(world)
    path, files, rows = world.checkpoints / newest, world.files(), world.ask("SELECT * FROM checkpoints")
    path.rename(tmp_path / "aside")
    path.symlink_to(path)  # so opening it fails, and not because nothing is there
    with pytest.raises(
        TapewatchError, match=r"cannot read checkpoint .*: Too many levels .*; nothing was rem"
    ):
        world.run(source())
    assert (world.files(), world.ask("SELECT * FROM checkpoints")) == (files, rows)
    path.unlink()
    (tmp_path / "aside").rename(path)
    world.run(source())
    assert world.alerts() == whole.alerts()


def test_too_many_open_files_are_no_damage(whole: World, tmp_path: Path) -> None:
    written = write_checkpoint(tmp_path, "a.ckpt", snapshot(whole.seen[-1].task))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        with pytest.raises(TapewatchError, match=r"Too many open files.*limits") as failed:
            read_checkpoint(tmp_path, written.file, written.sha256)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not isinstance(failed.value, DamagedCheckpointError)


def test_where_none_is_readable_and_the_journal_is_cut_it_stops(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    for name in killed_behind_two_checkpoints(world):
        damage(world.checkpoints / name, "flipped")
    before = (world.alerts(), world.journal(), world.ask("SELECT * FROM checkpoints"))
    with pytest.raises(TapewatchError, match=r"no readable checkpoint of trades\[0\] in .*restore"):
        world.run(source())
    assert (world.alerts(), world.journal(), world.ask("SELECT * FROM checkpoints")) == before


def test_where_none_is_readable_but_the_whole_journal_is_there_it_goes_on(
    whole: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "store", keep_all=True)
    for name in killed_behind_two_checkpoints(world):
        damage(world.checkpoints / name, "flipped")
    world.run(source())
    assert world.alerts() == whole.alerts()
    assert world.dead() == whole.dead()
    assert world.journal()[0][0] == 1


def test_damage_before_anything_was_consumed_is_no_loss(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(ListSource([MemoryLog(LOG, [])]))
    (file,) = world.files()
    damage(world.checkpoints / file, "empty")
    world.run(source())
    assert world.alerts() == whole.alerts()


def test_the_journal_is_cut_only_before_the_older_one(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    seqs = []
    for _ in range(4):
        world.run(source(), polls=2)
        kept = [row[0] for row in world.ask("SELECT seq FROM checkpoints ORDER BY seq")]
        seqs.append(kept)
        first = world.journal()[0][0] if world.journal() else None
        assert first == (1 if len(kept) == 1 else kept[0] + 1)
    assert len(seqs[-1]) == 2
    assert len(world.files()) == 2


def test_keep_all_keeps_all(tmp_path: Path) -> None:
    world = World(tmp_path / "store", keep_all=True)
    for _ in range(4):
        world.run(source(), polls=2)
    journal = world.journal()
    assert [entry[0] for entry in journal] == list(range(1, len(journal) + 1))
    assert len(world.files()) == 2
    batches = [entry[2:4] for entry in journal if entry[1] == "batch"]
    assert [first for first, _ in batches] == [0, *(last + 1 for _, last in batches[:-1])]


def test_a_clean_stop_leaves_nothing_behind_the_newest_checkpoint(tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    world.run(source(), polls=4)
    assert world.ask("SELECT count(*) FROM journal, checkpoints c WHERE journal.seq > c.seq") == [(0,)]
    assert world.ask("SELECT json_extract(positions, '$[0]') FROM checkpoints") == [(120,)]


def test_a_clean_stop_gives_up_a_base_that_cannot_be_written(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store", whole_up_to=0, every_s=1.0)
    in_the_way = [world.checkpoints / f"{checkpoint_name(1, seq, 1, 'base')}.tmp" for seq in range(60)]

    def poll(number: int) -> None:
        world.time.s += 0.6
        if number == 1:
            for path in in_the_way:
                path.mkdir(parents=True)

    chained = source(size=1, endless=True)
    chained.on_poll = poll
    with world.process(chained) as engine:
        engine.run(lambda: bool(world.completed))  # a base is begun right behind the first checkpoint
    behind = "SELECT count(*) FROM journal WHERE seq > (SELECT max(seq) FROM checkpoints)"
    assert world.ask(behind) == [(0,)], "whatever was read while the first one was written"
    for path in in_the_way:
        path.rmdir()
    world.run(source())
    assert world.alerts() == whole.alerts()


def test_files_of_killed_processes_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    world = World(tmp_path / "store")
    world.run(source(), polls=2)
    kept = world.files()
    strays = ["task1-000000000009-1.ckpt", "task1-000000000010-1.ckpt.tmp"]
    others = ["task12-000000000001-1.ckpt", "notes.txt"]
    for name in strays + others:
        (world.checkpoints / name).write_bytes(b"x")
    world.every_s = 1e9
    world.killed(source(), 1)
    assert world.files() == sorted(kept + others)


def test_a_file_in_the_folder_s_place_is_told_when_it_happens_and_hurts_nothing(
    whole: World, tmp_path: Path
) -> None:
    world = World(tmp_path / "store", every_s=0.5)
    world.folder.mkdir()
    world.checkpoints.write_text("not a folder")

    def poll(_: int) -> None:
        world.time.s += 1.0

    failing = source(size=5)
    failing.on_poll = poll
    with pytest.raises(TapewatchError, match=r"cannot write a checkpoint to .*: (File e|Not a d)"):
        world.run(failing)
    assert failing.polls < 60, "while it ran, not at its end"
    world.checkpoints.unlink()
    world.run(source())
    assert world.alerts() == whole.alerts()


def test_a_file_that_cannot_be_finished_is_not_left_half_written(whole: World, tmp_path: Path) -> None:
    taken = snapshot(whole.seen[-1].task)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        with pytest.raises(TapewatchError, match=r"cannot write a checkpoint .*: File too large; make room"):
            write_checkpoint(tmp_path / "folder", "x.ckpt", taken)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize(("every_s", "least"), [(1.0, 1.0), (100.0, 100.0)])
def test_recovery_stays_bounded_whatever_checkpoints_cost(
    every_s: float, least: float, tmp_path: Path
) -> None:
    """Fifty times what one costs apart, but so that two intervals at most are to be done again."""
    world = World(tmp_path / "store", every_s=every_s, timer_every_s=1.0)
    taken_at: list[float] = []
    look_s = 0.05  # every look at the clock finds that so much has passed; a checkpoint takes several

    def slow_clock() -> float:
        world.time.s += look_s
        return world.time.s

    def poll(number: int) -> None:
        world.time.s += every_s / 100
        files = world.ask("SELECT created_at FROM checkpoints") if number > 1 else []
        taken_at.extend(made for (made,) in files if made not in taken_at)
        slow.endless = len(taken_at) < 4
        time.sleep(0.002)  # the thread that writes has its turn

    slow = source(size=100, endless=True)
    slow.on_poll = poll
    world.run(slow, clock=slow_clock)
    apart = [after - before for before, after in pairwise(sorted(taken_at)[:4])]
    assert least < max(apart) + 1.0
    assert max(apart) < 2 * every_s


class SlowToPickle:
    """A user's own model, of which a copy takes a tenth of a second."""

    time: Time | None = None

    def __init__(self) -> None:
        self.learnt = 0

    def score_one(self, x: dict[str, float]) -> float:
        return 0.0

    def learn_one(self, x: dict[str, float]) -> None:
        self.learnt += 1

    def __getstate__(self) -> dict[str, Any]:
        if SlowToPickle.time is not None:
            SlowToPickle.time.s += 0.1
        return self.__dict__


class AtOnce(Executor):
    """Does everything when it is asked to, so that nothing depends on when a thread has its turn."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def test_copying_models_counts_as_what_checkpoints_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "\n  own: {model: test_checkpoints_kept.SlowToPickle, on: trade, features: [return_bps_10s]}\n"
    plan = plan_of(rules="\n  big: {when: size > 8 * size_mean_1h, clear: 1s}\n", detectors=own)
    world = World(tmp_path / "store", plan, every_s=1.0)
    monkeypatch.setattr(SlowToPickle, "time", world.time)
    monkeypatch.setattr(checkpointing, "ThreadPoolExecutor", AtOnce)
    registered_at: list[float] = []

    def poll(_: int) -> None:
        if len(world.completed) > len(registered_at):
            registered_at.append(world.time.s)
        world.time.s += 0.05

    in_order = [
        Record(n, trade(T0 + n * 100 * MS, 100.0 + n % 7, 1.0, f"S{n % 3}"), T0 + n * 100 * MS)
        for n in range(300)
    ]
    read = ListSource([MemoryLog(LOG, in_order)], cycle([1]), poll)
    world.run(read)
    shares = [each.share for each in world.completed if each.share]  # since the models learn
    assert len(shares) > 8
    assert min(shares) > 0.2
    assert max(shares) < 0.3, "none is copied twice"
    apart = [after - before for before, after in pairwise(registered_at)]
    assert sum(apart[-8:]) / 8 > 1.15


def test_a_snapshot_comes_back_from_its_file_to_the_bit(tmp_path: Path, whole: World) -> None:
    task = whole.seen[-1].task
    written = write_checkpoint(tmp_path, "a.ckpt", snapshot(task))
    back = read_checkpoint(tmp_path, written.file, written.sha256)
    again = restore(task.plan, task.partition, back)
    assert state_bytes(again, tmp_path / "again") == written.sha256
    with pytest.raises(DamagedCheckpointError, match="checksum differs"):
        read_checkpoint(tmp_path, written.file, "0" * 64)
    with pytest.raises(DamagedCheckpointError, match="No such file"):
        read_checkpoint(tmp_path, "b.ckpt", written.sha256)


def test_a_file_of_a_later_format_is_not_guessed_at(tmp_path: Path, whole: World) -> None:
    written = write_checkpoint(tmp_path, "a.ckpt", snapshot(whole.seen[-1].task))
    data = bytearray((tmp_path / written.file).read_bytes())
    data[8] = 99
    (tmp_path / "a.ckpt").write_bytes(data)
    with pytest.raises(DamagedCheckpointError, match="has format 99, this is 2"):
        read_checkpoint(tmp_path, "a.ckpt", hashlib.sha256(data).hexdigest())


@pytest.mark.timeout(60)
def test_a_stop_does_not_wait_until_files_can_be_opened(whole: World, tmp_path: Path) -> None:
    world = World(tmp_path / "store", every_s=1e9)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    feed, polls = source(), 4

    def poll(number: int) -> None:
        if number == polls:
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # nothing more can be opened

    feed.on_poll = poll
    world.stopped = lambda: feed.polls >= polls
    try:
        with pytest.raises(TapewatchError, match="Too many open files"):
            world.run(feed, polls=polls)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    world.stopped = lambda: False
    world.run(source())
    assert world.alerts() == whole.alerts(), "the next start goes on by the journal"
