"""requirements.lock pins every dependency of pyproject.toml to an allowed version, with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
BUILD = PROJECT["build-system"]["requires"]

_PIN = re.compile(
    r"^([\w.-]+)==(\S+)(?: ; (.+?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(environment: dict[str, str]) -> dict[str, str]:
    """The locked version of each package that is installed in an environment."""
    applying = [pin for pin in _PIN.findall(LOCK) if not pin[2] or Marker(pin[2]).evaluate(environment)]
    assert len({name for name, *_ in applying}) == len(applying)
    return {canonicalize_name(name): version for name, version, *_ in applying}


@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_dependency_is_locked_in_a_version_that_is_allowed(python: str, machine: str) -> None:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
    }
    locked = pins(environment)
    for requirement in map(Requirement, [*PROJECT["project"]["dependencies"], *BUILD]):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not locked: run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement} against {version}: run `make lock`"


def test_every_line_is_a_pin_a_hash_or_a_comment() -> None:
    rest = re.sub(r"^ *#.*\n", "", _PIN.sub("", LOCK), flags=re.MULTILINE)
    assert rest == ""
    assert "://" not in LOCK


def test_what_builds_the_project_is_locked_as_it_is_required() -> None:
    assert PROJECT["dependency-groups"]["build"] == BUILD
