"""Every broken configuration is refused with exactly the lines that it expects."""

from pathlib import Path

import pytest

from alerts.receivers.registry import RECEIVERS
from streamer.config.errors import ConfigError
from streamer.config.load import load
from streamer.pipeline.compile import compile_plan

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.yaml"))


def expected(path: Path) -> list[str]:
    lines = path.read_bytes().split(b"\n")
    mark = b"# expect: "
    expectations = (line.removeprefix(mark).decode() for line in lines if line.startswith(mark))
    return [f"FILE:{line.replace('RECEIVERS', ', '.join(sorted(RECEIVERS)))}" for line in expectations]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 35


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_file_is_refused_with_its_message(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_plan(load(path))
    assert str(caught.value).replace(str(path), "FILE").splitlines() == expected(path)
    assert caught.value.exit_code == 2
