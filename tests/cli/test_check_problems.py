"""What `tapewatch check` says of the store, and of secrets that are missing, each once and in its place."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streamer.cli.app import application
from streamer.store.database import open_store

CONFIG = """\
source: {SOURCE}
store: STORE
rules: {big: {when: size > 5}}
receivers: {RECEIVERS}
"""
FILES = "files: [{match: '*', format: tapewatch}]"


def checked(
    folder: Path, *options: str, source: str = FILES, receivers: str = "con: {console: {}}"
) -> Result:
    text = CONFIG.replace("SOURCE", source).replace("RECEIVERS", receivers)
    (folder / "t.yaml").write_text(text.replace("STORE", str(folder / "s.db")))
    return CliRunner().invoke(application([]), ["check", *options, "-c", str(folder / "t.yaml")])


def restoring(path: Path) -> None:
    path.with_name("s.db.checkpoints.replaced").mkdir()
    path.with_name("s.db.restoring").touch()


def held(path: Path) -> AbstractContextManager[Any]:
    open_store(str(path)).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    return closing(holder)


def damaged(path: Path) -> None:
    open_store(str(path)).close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 100_000)


@pytest.mark.parametrize(
    ("make", "code", "problem"),
    [
        (lambda path: None, 0, ""),
        (lambda path: open_store(str(path)).close(), 0, ""),
        (lambda path: path.write_text("notes"), 2, "the file is not a store"),
        (lambda path: path.mkdir(), 2, "it is a folder"),
        (lambda path: path.symlink_to("/etc/passwd"), 1, "symbolic link"),
        (restoring, 1, "a restore of it was cut short"),
        (held, 1, "another program holds it"),
        (damaged, 1, "it is damaged; restore a copy"),
    ],
)
def test_a_store_that_run_would_refuse_fails_the_check(
    make: Callable[[Path], Any], code: int, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.store.database._BUSY_TIMEOUT_S", 0.1)
    left = make(tmp_path / "s.db")
    done = checked(tmp_path, "--offline")
    if left is not None and hasattr(left, "__exit__"):
        left.__exit__(None, None, None)
    assert done.exit_code == code, done.output
    assert problem in done.output
    assert "big" in done.stdout, "the tables are shown all the same"


def test_each_missing_secret_is_told_once_at_each_of_its_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("K", raising=False)
    hooks = ", ".join(
        f"{name}: {{webhook: {{url: 'http://127.0.0.1:1/{name}', secret: {{env: {env}}}}}}}"
        for name, env in (("a", "K"), ("b", "K"), ("c", "xoxb-pasted"))
    )
    files = ", ".join(f"{name}: {{file: {{path: /nowhere/{name}}}}}" for name in "de")
    kafka = (
        "kafka: {bootstrap: '127.0.0.1:1', security: {sasl: {mechanism: PLAIN, username: u, "
        "password: {env: K}}}}, topics: [{match: t, format: tapewatch}]"
    )
    done = checked(tmp_path, source=kafka, receivers=f"{hooks}, {files}")
    assert done.exit_code == 2
    problems = [line.partition(": ")[2] for line in done.stderr.splitlines() if "t.yaml:" in line]
    problems = [line for line in problems if not line.startswith("warning")]
    assert [line.partition(": ")[0] for line in problems] == [
        "source.kafka.security.sasl.password.env",
        "receivers.a.webhook.secret.env",
        "receivers.b.webhook.secret.env",
        "receivers.c.webhook.secret.env",
        "receivers.d.file.path",
        "receivers.e.file.path",
    ], done.stderr
    assert "xoxb-pasted" not in done.output, "what was pasted there may be the secret itself"


def test_a_receiver_that_run_refuses_is_told_with_the_remedy(tmp_path: Path) -> None:
    done = checked(tmp_path, receivers=f"out: {{file: {{path: {tmp_path}/no/alerts.jsonl}}}}")
    assert done.exit_code == 2
    assert f"receivers.out.file.path: the folder {tmp_path}/no does not exist: make it" in done.stderr
