"""``python -m tests.benchmarks.backtests.first_call FILE TIMES``: what the first run of a forked child costs.

FILE has the bars. The process warms up, as the main process of a worker does, and forks one child after the
other. Prints JSON: the milliseconds of each child's first run and of its second, and the same of children
that are forked after the process has run itself, in which nothing can be left to compile.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

from apps.backtests.engine import Bars, Spec, run, warm_up
from tests.benchmarks.backtests import plan


def _milliseconds(bars: Bars, spec: Spec) -> float:
    began = time.perf_counter()
    run(bars, spec)
    return 1000 * (time.perf_counter() - began)


def in_child(bars: Bars, spec: Spec) -> list[float]:
    """The first and the second run of a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps([_milliseconds(bars, spec) for _ in range(2)]).encode())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a child failed")
    found: list[float] = json.loads(text)
    return found


def main(file: str, times: str) -> None:
    """See the module."""
    bars, spec = plan.load(Path(file)), plan.spec()
    compiled = warm_up()
    pairs = [in_child(bars, spec) for _ in range(int(times))]
    run(bars, spec)
    after = [in_child(bars, spec) for _ in range(int(times))]
    print(json.dumps({"compiled": compiled, "pairs": pairs, "after": after}))


if __name__ == "__main__":
    main(*sys.argv[1:])
