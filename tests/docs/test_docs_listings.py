"""What the pages say of listings: which alerts are open, what is no dead letter, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from alerts.receivers.receiver import Delivery
from streamer.cli.alerts import alerts
from streamer.cli.dead_letters import dead_letters
from streamer.cli.why import why
from streamer.errors import UsageError
from streamer.store import tables
from streamer.store.database import open_store
from streamer.store.service_alerts import parked, raise_service_alert

ALERT = parked(Delivery("ab", 0, "desk", b"{}"), "channel_not_found", 1_700_000_000.0)
TASK = {"topic": "spot", "incarnation": "t1", "started_at": 0.0, "code_version": "1"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with one alert about the service, and messages that are known and not used."""
    path = str(tmp_path_factory.mktemp("listings") / "tape.db")
    database = open_store(path)
    with database.write() as connection:
        raise_service_alert(connection, ALERT, 0.0)
        tasks = [{"partition": number, "config_hash": "c0", **TASK} for number in (0, 1)]
        connection.execute(insert(tables.tasks), tasks)
        seen = [{"task_id": task, "name": "depthUpdate", "count": 999 + task} for task in (1, 2)]
        connection.execute(insert(tables.ignored), seen)
    database.close()
    return path


def test_what_the_service_says_of_itself_is_never_open(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts(store=store)
    assert "delivery_parked" in capsys.readouterr().out
    alerts(store=store, only_open=True)
    assert capsys.readouterr().out == "no alerts\n"


def test_an_alert_about_the_service_is_about_tapewatch(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why(ALERT.id[:6], store=store)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "fired #0  delivery_parked  critical  tapewatch  2023-11-14T22:13:20.000000000Z"


def test_what_is_known_and_not_used_is_told_beside_the_dead_letters(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dead_letters(store=store)
    told = capsys.readouterr()
    assert told.out == "no dead letters\n"
    assert told.err == "known but not used, and no dead letters: depthUpdate 2,001\n"


def test_nothing_parked_is_said_so(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    alerts(store=store, retry_parked="ops")
    assert capsys.readouterr().err == "ops has no parked deliveries\n"


def test_a_filter_that_can_match_nothing_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.db")
    with pytest.raises(UsageError, match=r"'critcal' is not one of info.*did you mean 'critical'\?"):
        alerts(store=missing, severity="critcal")
    with pytest.raises(UsageError, match=r"there is no reason 'bad_jsn' \(did you mean 'bad_json'\?\)"):
        dead_letters(store=missing, reason="bad_jsn")
