"""Servers that a fault test may break, and what must hold when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from apps.events import projections
from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.projection import TaskRuns
from apps.tasks.states import State
from tests.benchmarks.sqs_control import BenchmarkSqs
from tests.workload.models import Effect


@pytest.fixture
def breakable_sqs(settings: Any) -> Iterator[BenchmarkSqs]:
    """A fast SQS server of the test's own, which breaks as it is told."""
    with BenchmarkSqs() as server:
        settings.SQS_ENDPOINT_URL = server.url
        queues.forget_urls()
        yield server
    queues.forget_urls()


def assert_each_once(names: Sequence[str]) -> None:
    """Everything was done, nothing was done twice, and the state is what the events say."""
    assert Counter(Effect.objects.values_list("name", flat=True)) == Counter(names)
    ended = TaskRun.objects.filter(task__startswith="workload.")
    assert set(ended.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert projections.check(TaskRuns()) == []
