"""ADWIN is River's own, whoever loads it first, and loading it loads little else."""

from __future__ import annotations

import subprocess
import sys

ALONE = """
import pickle, sys
from detectors.drift.river_adwin import adwin
one = adwin()(delta=1e-5, clock=1)
for value in [0.1] * 200 + [0.9] * 200:
    one.update(value)
print(sorted({"river.drift", "river.drift.kswin", "river.datasets", "scipy.stats"} & set(sys.modules)))
"""
WHOLE_FIRST = "import river.drift\n" + ALONE
BOTH = """
import river.drift
print(river.drift.ADWIN is adwin() is type(pickle.loads(pickle.dumps(one))))
print(river.drift.PageHinkley.__name__, river.drift.KSWIN.__name__)
import river.drift.adwin as module
print(module.ADWIN is adwin())
"""


def said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


THE_SAME = ["True", "PageHinkley KSWIN", "True"]


def test_nothing_else_is_loaded_and_it_is_the_class_that_everybody_loads_later() -> None:
    assert said(ALONE + BOTH) == ["[]", *THE_SAME]


def test_it_is_the_class_that_everybody_has() -> None:
    assert said(WHOLE_FIRST + BOTH)[-3:] == THE_SAME
