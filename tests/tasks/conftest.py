"""What must hold after every test of runs that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.events import projections
from apps.tasks.batchprojection import Batches
from apps.tasks.projection import TaskRuns


@pytest.fixture
def state_follows_from_events(committed: None) -> Iterator[None]:
    """After the test the rows of runs and batches must be what their events say."""
    yield
    assert projections.check(TaskRuns()) == []
    assert projections.check(Batches()) == []
