"""Kernels: functions that are compiled once and kept on disk, for as long as all they are made of stays.

numba keeps what it compiled until the kernel's own file changes, or its bytecode. The kernels that it calls
and the constants that it takes from elsewhere are compiled into it, though, so what is kept here is kept
under all files that hold any of these as well.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

_HERE = Path(__file__).parent
_WITHOUT_KERNELS = ("kernels.py", "event_columns.py", "calibration/calibrator.py", "models/model.py")
_WITH_KERNELS = b"from detectors.kernels import kernel\n"


def _files() -> dict[str, bytes]:
    """What kernels are made of: the files that hold them, those whose constants they use, and this one."""
    texts = {str(path.relative_to(_HERE)): path.read_bytes() for path in sorted(_HERE.rglob("*.py"))}
    return {name: text for name, text in texts.items() if name in _WITHOUT_KERNELS or _WITH_KERNELS in text}


MADE_OF = _files()
"""The text of each file that compiled kernels depend on, by its path in this package."""

_FINGERPRINT = zlib.crc32(b"".join(MADE_OF.values()))


class _Kept(FunctionCache):  # type: ignore[misc]
    def _index_key(self, *of: Any) -> tuple[Any, ...]:
        return (*super()._index_key(*of), _FINGERPRINT)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` at its first call with new types, without the GIL, and keep that on disk.

    Where it is kept is numba's choice: in `NUMBA_CACHE_DIR`, or else beside the code. It is compiled anew
    once a file of `MADE_OF` is another.
    """
    compiled = njit(nogil=True)(function)
    compiled._cache = _Kept(function)
    return compiled
