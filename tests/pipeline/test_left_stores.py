"""A store that the fold version before left cleanly is taken up, and goes on to the same (`left_stores`).

What it owes is the same too, except where a timer fires or ends an episode: an instrument's clock at a timer
is its own, plus what has passed since it was heard.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from left_stores import MUTED, RECEIVERS, GoneOn, all_delivered, expected, gone_on, unpacked, world_in

from streamer.errors import TapewatchError
from streamer.messages.fold_version import FOLD_VERSION
from streamer.pipeline.compile import compile_document

LEFT_BY = Path(__file__).parents[1] / "data" / "left_by_0.2.0"
FOLD_BEFORE = 3


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


@pytest.mark.parametrize("what", ["alerts", "decisions", "dead", "ignored", "configs", "scores", "parked"])
def test_it_goes_on_to_the_same_as_the_version_before(what: str, on: GoneOn, before: dict[str, Any]) -> None:
    got = on.document()[what]
    assert len(before[what]) > 0
    for mine, theirs in zip(got, before[what], strict=False):
        assert mine == theirs
    assert len(got) == len(before[what])


def test_every_receiver_gets_the_same_messages(on: GoneOn, before: dict[str, Any]) -> None:
    for name in RECEIVERS:
        assert sorted(on.delivered[name]) == before["delivered"][name]
        keys = [key for key, _ in on.delivered[name]]
        assert len(keys) == len(set(keys))


def test_the_backlog_goes_out_in_order_and_what_is_parked_stays(on: GoneOn, left: Any) -> None:
    backlog = left.ask(
        "SELECT receiver, alert_id || '-' || number FROM deliveries WHERE state IN ('pending', 'trying') "
        "ORDER BY n"
    )
    ((parked,),) = left.ask("SELECT alert_id FROM deliveries WHERE state = 'parked'")
    for name in RECEIVERS:
        keys = [key for key, _ in on.delivered[name]]
        numbers: dict[str, list[int]] = defaultdict(list)
        for key in keys:
            episode, _, number = key.partition("-")
            numbers[episode].append(int(number))
        assert all(each == sorted(each) for each in numbers.values()), "no episode out of order"
        owed = [key for receiver, key in backlog if receiver == name]
        if name == "desk":
            assert parked not in numbers, "what follows a parked one waits for it"
            owed = [key for key in owed if not key.startswith(parked)]
        assert set(owed) <= set(keys)
        first_of_each = [key for key in owed if key.endswith("-0")]
        assert [key for key in keys if key in set(first_of_each)] == first_of_each


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


def test_a_pending_journal_of_the_fold_before_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    world = world_in(unpacked("killed", LEFT_BY, tmp_path / "store"), LEFT_BY)
    assert ("batch",) in pending(world)
    alerts = world.alerts()
    assert alerts
    refusal = rf"written by tapewatch 0\.2\.0 with fold version {FOLD_BEFORE}; .*stop cleanly \(SIGTERM\)"
    with pytest.raises(TapewatchError, match=refusal):
        gone_on(world.folder, LEFT_BY, 0)
    assert world.alerts() == alerts
    assert all_delivered(world)["ops"], "delivery does not depend on it"
