"""A store that the fold version before left cleanly is taken up, and goes on to the same (`left_stores`).

So are those of the versions before it, since 3. Open episodes go on under their ids. From fold 4, which had
no back-off and kept less of an episode, they end as they did; from fold 3, timers may end them elsewhere.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from left_stores import MUTED, RECEIVERS, GoneOn, expected, gone_on, unpacked, world_in

from streamer.errors import TapewatchError
from streamer.messages.fold_version import FOLD_VERSION
from streamer.pipeline.compile import compile_document
from streamer.store.database import open_store
from streamer.store.lock import only_daemon_of

DATA = Path(__file__).parents[1] / "data"
FOLD_BEFORE = 6
LEFT_BY, OLD = DATA / f"left_by_fold{FOLD_BEFORE}", DATA / "left_by_fold4"
WORDED = ("move", "drift")
"""Whose texts are the same since fold 4; others show their condition, whose numbers were not rounded then."""


@pytest.fixture(scope="module")
def before() -> dict[str, Any]:
    """What the version that left it went on to."""
    return expected(LEFT_BY)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return world_in(unpacked("drained", LEFT_BY, tmp_path_factory.mktemp("left") / "store"), LEFT_BY)


@pytest.fixture(scope="module")
def on(before: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> GoneOn:
    """The same store, gone on from by the code under test."""
    folder = tmp_path_factory.mktemp("on") / "store"
    return gone_on(unpacked("drained", LEFT_BY, folder), LEFT_BY, before["polls"])


def open_episodes(world: Any) -> dict[str, str]:
    """Episodes without an end, with their rules."""
    return dict(
        world.ask(
            "SELECT alert_id, rule FROM outbox WHERE origin = 'detect' AND rule <> 'drift' "
            "GROUP BY alert_id HAVING sum(transition = 'resolved') = 0"
        )
    )


def pending(world: Any) -> list[tuple[str]]:
    """Kinds of journal entries behind the newest checkpoints."""
    return world.ask(  # type: ignore[no-any-return]
        "SELECT DISTINCT kind FROM journal j WHERE seq > "
        "(SELECT max(seq) FROM checkpoints c WHERE c.task_id = j.task_id) ORDER BY kind"
    )


def test_the_store_was_left_in_the_middle_of_everything(left: Any) -> None:
    assert FOLD_BEFORE == FOLD_VERSION - 1, "a change of the fold needs a store of the version before it"
    assert left.ask("SELECT DISTINCT code_version FROM tasks") == [(f"0.2.0+fold{FOLD_BEFORE}",)]
    assert {"held", "odd", "woods"} <= set(open_episodes(left).values()), "open, by rules and by detectors"
    assert pending(left) == []
    states = left.ask("SELECT DISTINCT receiver, state FROM deliveries")
    assert {("ops", "pending"), ("desk", "parked"), ("pager", "trying"), ("desk", "muted")} <= set(states)
    for table in ("decisions WHERE kind = 'near_miss'", "dead_letters", "dead_letter_floods", "ignored"):
        assert left.ask(f"SELECT count(*) FROM {table}") > [(0,)], table


def but_for_updates(document: dict[str, Any]) -> dict[str, Any]:
    """Beginnings and ends of episodes, without what the fold version has changed in them."""
    told = {(row[0], row[1]): row[2] for row in document["alerts"]}
    kept = {
        "alerts": [
            [alert, what, _but_for_episode(body), config]
            for alert, _, what, body, config in document["alerts"]
            if what != "updated"
        ],
        "decisions": [
            [kind, alert, told.get((alert, number)), *row, _but_for_text(body)]
            for kind, alert, number, *row, body in document["decisions"]
            if kind != "transition" or told[alert, number] != "updated"
        ],
        "delivered": {
            name: sorted(_but_for_episode(body) for _, body in posts if '"transition":"updated"' not in body)
            for name, posts in document["delivered"].items()
        },
        "parked": [[alert, told[alert, number], receiver] for alert, number, receiver in document["parked"]],
    }
    return {**document, **kept}


def _but_for_episode(text: str) -> str:
    body = json.loads(text)
    body.pop("episode", None)
    if body["transition"] == "resolved" or body["rule"] not in WORDED:
        del body["text"]
    if body["transition"] == "resolved":
        del body["number"]
    return json.dumps(body, sort_keys=True)


def _but_for_text(decision: dict[str, Any]) -> dict[str, Any]:
    near_miss = decision.get("near_miss")
    if near_miss is None or near_miss["rule"] in WORDED:
        return decision
    return {**decision, "near_miss": {**near_miss, "text": ""}}


RARE = ("rare", "margin")
"""The rules that ask for rarities. Since fold 7 what breaks ties between scores is drawn otherwise."""


def but_for_rarities(document: dict[str, Any]) -> dict[str, Any]:
    """Without rarities, and without what rules raised that ask for them."""
    rare = {row[0] for row in document["alerts"] if json.loads(row[3])["rule"] in RARE}
    kept = {
        "alerts": [
            [*row[:3], _but_for_rarity(row[3]), row[4]] for row in document["alerts"] if row[0] not in rare
        ],
        "decisions": [
            [*row[:-1], _but_for_rarity(row[-1])]
            for row in document["decisions"]
            if row[1] not in rare and row[-1].get("near_miss", {}).get("rule") not in RARE
        ],
        "scores": [[*row[:7], *row[8:]] for row in document["scores"]],
        "delivered": {
            name: [[key, _but_for_rarity(body)] for key, body in posts if not _is_rare(body)]
            for name, posts in document["delivered"].items()
        },
        "parked": [row for row in document["parked"] if row[0] not in rare],
    }
    return {**document, **kept}


def _is_rare(body: str) -> bool:
    return json.loads(body)["rule"] in RARE


def _but_for_rarity(told: Any) -> Any:
    """The same text, or the same document, without the rarities in it."""
    if isinstance(told, str):
        return json.dumps(_but_for_rarity(json.loads(told)), sort_keys=True, separators=(",", ":"))
    if not isinstance(told, dict):
        return told
    parts = {name: _but_for_rarity(value) for name, value in told.items() if not isinstance(value, str)}
    left = {name: value for name, value in {**told, **parts}.items() if not name.endswith(".rarity")}
    return {name: value for name, value in left.items() if name not in ("rarity_s", "rarities")}


WHAT = ["alerts", "decisions", "dead", "ignored", "configs", "scores", "parked"]


def compare(got: list[Any], given: list[Any]) -> None:
    assert len(given) > 0
    for mine, theirs in zip(got, given, strict=False):
        assert mine == theirs
    assert len(got) == len(given)


@pytest.mark.parametrize("what", WHAT)
def test_it_goes_on_to_the_same_as_the_version_before(what: str, on: GoneOn, before: dict[str, Any]) -> None:
    compare(but_for_rarities(on.document())[what], but_for_rarities(before)[what])


def test_every_receiver_gets_the_same_messages(on: GoneOn, before: dict[str, Any]) -> None:
    mine, theirs = (
        but_for_updates(but_for_rarities(document))["delivered"] for document in (on.document(), before)
    )
    for name in RECEIVERS:
        assert mine[name] == theirs[name]
        keys = [key for key, _ in on.delivered[name]]
        assert len(keys) == len(set(keys))


def taken_up(fixture: Path, folder: Path) -> tuple[GoneOn, dict[str, Any], Any]:
    """What goes on from an older store, what that version went on to, and the store as it was left."""
    before = expected(fixture)
    on = gone_on(unpacked("drained", fixture, folder / "on"), fixture, before["polls"])
    return on, before, world_in(unpacked("drained", fixture, folder / "left"), fixture)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[GoneOn, dict[str, Any], Any]:
    return taken_up(OLD, tmp_path_factory.mktemp("old"))


@pytest.mark.parametrize("what", WHAT)
def test_a_store_of_fold_4_goes_on_to_the_same_but_for_updates(
    what: str, old: tuple[GoneOn, dict[str, Any], Any]
) -> None:
    mine, theirs = (but_for_updates(but_for_rarities(each)) for each in (old[0].document(), old[1]))
    compare(mine[what], theirs[what])


def test_a_store_of_fold_3_goes_on_to_the_same_scores_and_dead_letters(tmp_path: Path) -> None:
    on, before, left = taken_up(DATA / "left_by_fold3", tmp_path)
    for what in ("dead", "ignored", "configs", "scores"):
        compare(but_for_rarities(on.document())[what], but_for_rarities(before)[what])
    ended = open_episodes(left).keys() - open_episodes(on.world).keys()
    assert {open_episodes(left)[episode] for episode in ended} >= {"odd", "woods"}


def test_what_was_open_in_fold_4_is_told_by_the_back_off_and_has_no_measure(
    old: tuple[GoneOn, dict[str, Any], Any],
) -> None:
    on, before, left = old

    def updates(document: dict[str, Any]) -> int:
        return sum(row[2] == "updated" for row in document["alerts"])

    assert updates(on.document()) < updates(before)
    told = set(left.ask("SELECT alert_id, number FROM outbox"))
    fired = {row[0]: json.loads(row[3]) for row in on.document()["alerts"] if row[1] == 0}
    went_on, new = 0, 0
    for alert, number, _, text, _ in on.document()["alerts"]:
        body = json.loads(text)
        if (alert, number) in told or body["rule"] == "drift":
            assert "episode" not in body, "what was written stays as it was"
        elif "episode" not in fired[alert]:
            assert body["episode"] == {"began": fired[alert]["ts_event"]}
            went_on += 1
        else:
            assert {"began", "measure", "first", "peak", "last"} <= set(body["episode"])
            new += 1
    assert min(went_on, new) > 0


def test_the_backlog_goes_out_in_order_per_episode_and_what_is_parked_stays(on: GoneOn, left: Any) -> None:
    backlog = left.ask(
        "SELECT receiver, alert_id || '-' || number FROM deliveries WHERE state IN ('pending', 'trying') "
        "ORDER BY n"
    )
    superseded = {
        key
        for (key,) in on.world.ask(
            "SELECT alert_id || '-' || number FROM deliveries WHERE state = 'superseded'"
        )
    }
    kinds = dict(left.ask("SELECT alert_id || '-' || number, transition FROM outbox"))
    back = {f"{key}-" for (key,) in on.world.ask("SELECT DISTINCT alert_id FROM outbox WHERE rule = 'again'")}
    for key in superseded & kinds.keys():
        assert kinds[key] == "updated" or key[: key.index("-") + 1] in back, "or what came back"
    ((parked,),) = left.ask("SELECT alert_id FROM deliveries WHERE state = 'parked'")
    for name in RECEIVERS:
        keys = [key for key, _ in on.delivered[name]]
        numbers: dict[str, list[int]] = defaultdict(list)
        for key in keys:
            episode, _, number = key.partition("-")
            numbers[episode].append(int(number))
        assert all(each == sorted(each) for each in numbers.values()), "no episode out of order"
        owed = [key for receiver, key in backlog if receiver == name and key not in superseded]
        if name == "desk":
            assert parked not in numbers, "what follows a parked one waits for it"
            owed = [key for key in owed if not key.startswith(parked)]
        assert set(owed) <= set(keys)


def test_a_muted_rule_stays_silent(on: GoneOn, left: Any) -> None:
    heard = dict.fromkeys(RECEIVERS, 0)
    known = set(left.ask("SELECT receiver, alert_id FROM deliveries WHERE state <> 'muted'"))
    raised = on.world.ask("SELECT DISTINCT alert_id FROM outbox WHERE rule = ?", MUTED)
    for name in RECEIVERS:
        for _, body in on.delivered[name]:
            alert = json.loads(body)
            if alert["rule"] == MUTED:
                assert (name, alert["id"]) in known, "it began before the mute"
                heard[name] += 1
    assert heard["ops"] > 0
    assert len(raised) > len(left.ask("SELECT DISTINCT alert_id FROM outbox WHERE rule = ?", MUTED))


def test_episodes_that_were_open_come_to_their_ends(on: GoneOn, left: Any) -> None:
    were_open, still_open = open_episodes(left), open_episodes(on.world)
    ended = {were_open[episode] for episode in were_open.keys() - still_open.keys()}
    assert {"odd", "woods"} <= ended
    assert "drift" in {rule for (rule,) in on.world.ask("SELECT rule FROM outbox")}, "watches went on, too"


def test_its_configuration_is_the_same_document_today(left: Any) -> None:
    ((config_hash, document),) = left.ask("SELECT hash, text FROM configs")
    assert (left.plan.config_hash, left.plan.document) == (config_hash, document)
    assert compile_document(document).config_hash == config_hash


def test_a_pending_journal_of_the_fold_before_is_refused(tmp_path: Path) -> None:
    world = world_in(unpacked("killed", LEFT_BY, tmp_path / "store"), LEFT_BY)
    alerts = world.alerts()
    with pytest.raises(TapewatchError, match=rf"with fold version {FOLD_BEFORE}; .*stop cleanly"):
        gone_on(world.folder, LEFT_BY, 0)
    assert world.alerts() == alerts != []


def test_a_pending_journal_of_an_older_fold_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    world = world_in(unpacked("killed", OLD, tmp_path / "store"), OLD)
    assert ("batch",) in pending(world)
    alerts, tables = world.alerts(), tables_of(world)
    assert alerts
    refusal = r"written by tapewatch 0\.2\.0 with fold version 4; .*stop cleanly \(SIGTERM\)"
    with pytest.raises(TapewatchError, match=refusal):
        gone_on(world.folder, OLD, 0)
    said = tapewatch_says("alerts", world)
    assert said.returncode == 1
    assert re.search(refusal, said.stderr)
    said = tapewatch_says("run", world)
    assert said.returncode == 1
    assert re.search(refusal, said.stderr)
    assert world.alerts() == alerts
    assert tables_of(world) == tables, "so the version before can finish it"
    open_store(str(world.store), accept_rederivation=True).close()
    assert tables_of(world) != tables


def test_a_drained_store_is_taken_up_only_once_no_daemon_runs_on_it(tmp_path: Path) -> None:
    world = world_in(unpacked("drained", OLD, tmp_path / "store"), OLD)
    tables = tables_of(world)
    with only_daemon_of(world.store):
        said = tapewatch_says("alerts", world)
        assert said.returncode == 1
        assert "a daemon of an older version is running on it; stop it first" in said.stderr
        assert tables_of(world) == tables
    assert tapewatch_says("alerts", world).returncode == 0
    assert tables_of(world) != tables
    with only_daemon_of(world.store):
        assert tapewatch_says("alerts", world).returncode == 0, "up to date, it is read beside its daemon"


def tables_of(world: Any) -> list[tuple[str]]:
    """The version of the store's tables, and the statements that made them."""
    return world.ask(  # type: ignore[no-any-return]
        "SELECT value FROM meta WHERE key = 'schema_version' "
        "UNION ALL SELECT * FROM (SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)"
    )


def tapewatch_says(command: str, world: Any) -> subprocess.CompletedProcess[str]:
    """What a command of the code under test says about a store."""
    config = world.folder.parent / "config.yaml"
    source = "source:\n  kafka: {bootstrap: 127.0.0.1:1}\n  topics: [{match: trades, format: tapewatch}]\n"
    receivers = "receivers: {console: {console: {}}}\n"
    rules = 'rules: {big: {when: size > 100, on: trade, text: "big"}}\n'
    config.write_text(f"{source}{rules}{receivers}store: {world.store}\n")
    command_line = [sys.executable, "-m", "streamer", command, "-c", str(config)]
    return subprocess.run(command_line, capture_output=True, text=True, check=False, timeout=60)
