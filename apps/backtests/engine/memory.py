"""Memory that is freed and needed again at once, as the arrays of a run are."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt in malloc.h
_KEPT = 256 * 2**20
_LARGEST = 32 * 2**20  # the most that the C library accepts


def keep_freed_memory() -> bool:
    """Have the C library keep up to 256 MB of freed memory, and say whether it does; for workers.

    A year of minutes is 4 MB a column. By default each such array is asked of the system anew and cleared
    page by page, which takes longer than most computations on it. Only the GNU C library has this setting.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
