"""Fixtures: a simulated exchange for the tests of a module, without disturbances at the start of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.exchange_process import RunningExchange, running_exchange


@pytest.fixture(scope="module")
def running() -> Iterator[RunningExchange]:
    with running_exchange("--seed", "7") as exchange:
        yield exchange


@pytest.fixture
def exchange(running: RunningExchange) -> Iterator[RunningExchange]:
    running.calm()
    yield running
    running.calm()
