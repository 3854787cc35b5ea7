"""The kernel as machine code, where numba is installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.backtests.engine import kernel
from apps.backtests.engine.kernel import fills, levels, loop, orders, protection

#: Everything that the loop calls.
_HELPERS = (
    levels.worth,
    levels.set_levels,
    levels.follow,
    levels.guard,
    levels.liquidation,
    fills.size_of,
    fills.enter,
    fills.leave,
    orders.decide,
    orders.due,
    orders.place,
    orders.fill_resting,
    protection.protect,
    loop.begin,
    loop.finish_at_close,
    loop.simulate,
)


@cache
def compiled() -> Callable[..., None] | None:
    """``kernel.simulate`` as machine code, or None where numba is absent or does not fit this numpy.

    The code is kept on disk (``NUMBA_CACHE_DIR``, else beside this file, else in the user's cache), or
    in memory only when none of these can be written. It holds no interpreter lock while running.
    """
    try:
        from numba import njit
        from numba.extending import register_jitable
    except ImportError:
        return None
    # The loop allocates nothing. With reference counts, every call of a helper would count every array up
    # and down by atomic operations, which costs ten times what the helpers do.
    uncounted: dict[str, Any] = {"_nrt": False}
    for helper in _HELPERS:
        register_jitable(**uncounted)(helper)
    entry = _entry(source())
    made: Any
    try:
        made = njit(cache=True, nogil=True, **uncounted)(entry)
    except RuntimeError:  # "cannot cache function …: no locator available": a read-only installation
        made = njit(nogil=True, **uncounted)(entry)
    return made  # type: ignore[no-any-return]


def chosen(jit: bool | None) -> Callable[..., None] | None:
    """The compiled loop, or None for the uncompiled one.

    *jit* None takes the compiled loop if there is one, unless the environment has ``CHANDLERY_JIT=0``;
    True insists on it (RuntimeError without numba); False never takes it.
    """
    if jit is False or (jit is None and os.environ.get("CHANDLERY_JIT") == "0"):
        return None
    made = compiled()
    if jit and made is None:
        raise RuntimeError("jit=True needs numba, which cannot be imported here")
    return made


def warm_up() -> bool:
    """Compile or load the loop now and say whether there is one.

    A worker calls this before it forks: its children then start a run in under a millisecond.
    """
    made = chosen(None)
    if made is None:
        return False
    nothing = np.zeros(0)
    bits = np.zeros(0, np.uint8)
    nothing.flags.writeable = bits.flags.writeable = False
    columns = [nothing, nothing, nothing, nothing, bits, *[nothing] * 6]
    vectors = np.zeros(kernel.PARAMS), np.zeros(kernel.ACCOUNT), np.zeros(kernel.BOOK)
    made(0, 1, *columns, *vectors, np.zeros(0), np.zeros((0, kernel.TRADE)))
    return True


def source() -> str:
    """A hash of the kernel's source files."""
    digest = hashlib.sha256()
    for path in sorted(Path(kernel.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _entry(source: str) -> Callable[..., None]:
    """What is compiled. Closing over *source* makes it part of the key under which code is cached.

    By itself numba looks at the file of the compiled function only, and would keep code whose helpers in
    other files have changed.
    """
    simulate = loop.simulate

    def entry(
        first: Any,
        width: Any,
        opens: Any,
        highs: Any,
        lows: Any,
        closes: Any,
        bits: Any,
        long_prices: Any,
        short_prices: Any,
        stops: Any,
        targets: Any,
        trails: Any,
        rates: Any,
        params: Any,
        account: Any,
        books: Any,
        equity: Any,
        trades: Any,
    ) -> None:
        if source:
            simulate(
                first, width, opens, highs, lows, closes, bits, long_prices, short_prices, stops, targets,
                trails, rates, params, account, books, equity, trades,
            )  # fmt: skip

    return entry
