"""Measurements that need a process of their own, which say in JSON what came out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from apps.stack.folders import CHECKOUT
from tests.benchmarks.experiment import Bench, Failed


def answer(bench: Bench, module: str, *arguments: str) -> dict[str, Any]:
    """What ``tests.benchmarks.backtests.<module>`` prints. Raises `Failed` where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.backtests.{module}", *arguments],
        cwd=CHECKOUT,
        env=dict(bench.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{module} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
