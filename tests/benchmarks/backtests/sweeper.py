"""``python -m tests.benchmarks.backtests.sweeper WHO FILE COUNT``: one sweep in a process of its own.

WHO is ``ours`` or an engine of vectorbt's, FILE has the bars. Prints JSON: the seconds, the highest memory of
the process in bytes, and before that the same when two combinations had been swept; and of each combination
the final equity and the number of trades.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from apps.backtests.engine import Bars, warm_up
from apps.backtests.engine.sweep import sweep
from tests.benchmarks.backtests import plan

Windows = Sequence[tuple[int, int]]


def ours(bars: Bars, windows: Windows) -> tuple[list[float], list[int]]:
    """The final equity and the number of trades of each combination."""
    spec = plan.spec()
    table = sweep(bars, spec, [{**spec.params, "fast": fast, "slow": slow} for fast, slow in windows])
    finals, trades = table.metrics["final_equity"], table.metrics["n_trades"]
    return [float(value) for value in finals], [int(count) for count in trades]


def theirs(engine: str, bars: Bars, windows: Windows) -> tuple[list[float], list[int]]:
    """The same by vectorbt."""
    from tests.benchmarks.backtests.vectorbt_peer import Vectorbt

    return Vectorbt(bars).sweep(engine, *zip(*windows, strict=True))


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        # On macOS this is in bytes.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # What getrusage says on Linux begins with the memory of the process that has started this one.
    return 1024 * int(status.split("VmHWM:")[1].split(None, 1)[0])


def main(who: str, file: str, count: str) -> None:
    """See the module."""
    bars, windows = plan.load(Path(file)), plan.combinations(int(count))

    def swept(on: Bars, some: Windows) -> tuple[list[float], list[int]]:
        return ours(on, some) if who == "ours" else theirs(who, on, some)

    if who == "ours":
        warm_up()
    # What is compiled or imported at the first call is not counted.
    swept(bars, windows[:2])
    few = peak()
    began = time.perf_counter()
    finals, trades = swept(bars, windows)
    spent = time.perf_counter() - began
    print(json.dumps({"seconds": spent, "few": few, "peak": peak(), "finals": finals, "trades": trades}))


if __name__ == "__main__":
    main(*sys.argv[1:])
