"""The benchmark SQS server, one for the tests of a module, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.benchmarks.sqs_client import make
from tests.benchmarks.sqs_control import BenchmarkSqs, SqsControl


@pytest.fixture(scope="module")
def server() -> Iterator[BenchmarkSqs]:
    with BenchmarkSqs() as running:
        yield running


@pytest.fixture
def control(server: BenchmarkSqs) -> Iterator[SqsControl]:
    yield server.control
    server.control.heal()
    server.control.set_latency(0)
    server.control.lose(queues=True)
    server.control.reset_counters()


@pytest.fixture(scope="module")
def sqs(server: BenchmarkSqs) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=10, max_pool_connections=20),
    )


@pytest.fixture
def queue(sqs: Any, control: SqsControl) -> str:
    return make(sqs, "plain")
