"""Stand-in processes for tests of the supervisor: small Python programs with a known behaviour."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from apps.stack.child import Service
from apps.stack.probes import says

IDLE = "import signal, time; print('up', flush=True); time.sleep(600)"


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Service]:
    """Makes services out of Python text; ready when they print ``up``."""

    def make(name: str, text: str = IDLE, **options: Any) -> Service:
        return Service(
            name=name,
            argv=(sys.executable, "-c", text),
            environ=dict(os.environ),
            folder=tmp_path,
            **{"ready": says("up"), "ready_timeout": 30.0, "stop_timeout": 10.0} | options,
        )

    return make


async def until(condition: Callable[[], object | Awaitable[object]], *, timeout: float = 30.0) -> None:
    """Return when *condition* holds; fail the test when it does not within *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.02)


def wait_for(condition: Callable[[], object], *, timeout: float = 30.0) -> None:
    """`until` for ordinary code."""
    work: Coroutine[Any, Any, None] = until(condition, timeout=timeout)
    asyncio.run(work)
