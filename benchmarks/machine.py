"""The machine: what it is, and which core work runs on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_VERSIONS = ("kafka-python", "river", "numba", "numpy", "msgspec", "SQLAlchemy")


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


WORK_CORE, OTHER_CORE = cores()[0], cores()[-1]
"""Where what is measured runs, and where the broker does; the same where there is but one."""


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this thread, and what it starts meanwhile, on one core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> dict[str, str | int | dict[str, str]]:
    """Processor, cores, system, Python and the versions of what is measured."""
    return {
        "processor": _processor(),
        "cores": len(cores()),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in _VERSIONS if (found := _version(name))},
    }


def resident_mb(peak: bool = False) -> float:
    """This process's resident memory, or the most it ever had, in MB."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(wanted):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {wanted}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model\t")]
    name = names[0] if names else platform.machine()
    return f"{name}, model {models[0]}" if models else name


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
