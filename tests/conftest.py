"""Fixtures for tests against the private stack of ``manage.py test``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from apps.core.ids import uuid7
from apps.tasks import queues

Until = Callable[..., Any]


def pytest_configure(config: pytest.Config) -> None:
    if not os.environ.get("DATABASE_URL"):
        raise pytest.UsageError("the tests need their servers: run `python3 manage.py test [arguments]`")


def wait_until(
    condition: Callable[[], Any], *, seconds: float = 30.0, what: str = "", every: float = 0.05
) -> Any:
    """The first true value of *condition*; fails the test when there is none in time."""
    deadline = monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what or condition}")
        sleep(every)


def database_url() -> str:
    """The address of the database that this test uses, for processes started by it."""
    parts = connection.settings_dict
    host = quote(parts["HOST"], safe="")
    port = f":{parts['PORT']}" if parts["PORT"] else ""
    password = f":{quote(parts['PASSWORD'], safe='')}" if parts["PASSWORD"] else ""
    return f"postgres://{parts['USER']}{password}@{host}{port}/{parts['NAME']}"


def forget_events() -> None:
    """Empty the event store, which refuses that unless asked in the right way."""
    from django.db import transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL chandlery.events_maintenance = 'on'")
        cursor.execute("TRUNCATE events_event")


@pytest.fixture
def committed(transactional_db: None) -> Iterator[None]:
    """Tests whose writes other connections see. Everything is gone afterwards, events included."""
    yield
    forget_events()


@pytest.fixture
def own_queues(settings: Any) -> Iterator[str]:
    """SQS queues that no other test uses; the value is their prefix."""
    prefix = f"t{uuid7().hex[-12:]}-"
    settings.SQS_QUEUE_PREFIX = prefix
    queues.client.cache_clear()
    queues.forget_urls()
    queues.ensure()
    yield prefix
    queues.client.cache_clear()
    queues.forget_urls()
