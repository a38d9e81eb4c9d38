"""A command is loaded alone where it is named first, and all of them where anybody may ask for another."""

from __future__ import annotations

import gc
import subprocess
import sys

import forked
import pytest
import typer

from streamer.cli.app import COMMANDS, application
from streamer.cli.code_loading import loading


def names(*arguments: str) -> list[str | None]:
    return [command.name for command in application(arguments).registered_commands]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_named_first_is_loaded_alone(name: str) -> None:
    assert names(name, "--help") == [name]
    # still a group: the command's name is no argument of its own
    assert isinstance(typer.main.get_command(application([name])), typer.core.TyperGroup)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version", "run"), ("rum",), ("--", "run")])
def test_else_all_are(arguments: tuple[str, ...]) -> None:
    assert names(*arguments) == list(COMMANDS)


def test_a_command_that_does_not_exist_is_named_with_one_that_does() -> None:
    done = forked.tapewatch("relpay")
    assert done.returncode == 2
    assert "relpay" in done.stderr
    assert "replay" in done.stderr


def test_muting_does_not_load_what_running_needs() -> None:
    script = (
        "import sys; from streamer.cli.app import application; application(['mute']);"
        " print('kafka' in sys.modules, 'slack_sdk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_asking_for_health_loads_no_settings_and_nothing_that_draws() -> None:
    script = (
        "import sys; from streamer.cli.app import application; application(['health'])\n"
        "from streamer.config.served_address import served_address\n"
        "names = ('streamer.config.settings', 'alerts.language', 'numpy', 'structlog', 'rich.table')\n"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]


def test_nobody_looks_for_garbage_while_code_is_loaded_nor_through_what_was_loaded() -> None:
    def fails() -> None:
        with loading():
            assert not gc.isenabled()
            with loading():
                pass
            assert not gc.isenabled()
            raise ImportError

    with pytest.raises(ImportError):
        fails()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
