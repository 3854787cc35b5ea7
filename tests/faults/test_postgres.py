"""PostgreSQL is killed in the middle of work and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, connection, transaction

from apps.stack.testing import EmbeddedPostgres
from apps.tasks import queues
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from tests.faults.conftest import assert_each_once
from tests.platform import Platform, wait_for_all
from tests.support import wait_until
from tests.workload import tasks as work


@pytest.fixture
def own_database(django_db_blocker: Any) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of the test's own behind Django's connection: it may be killed."""
    before = dict(connection.settings_dict)
    with EmbeddedPostgres() as server, django_db_blocker.unblock():
        address = urlsplit(server.environ["DATABASE_URL"])
        connection.close()
        connection.settings_dict.update(
            HOST=unquote(address.hostname or ""),
            PORT=address.port or "",
            NAME=address.path.lstrip("/"),
            USER=address.username,
            PASSWORD=address.password or "",
        )
        try:
            call_command("migrate", run_syncdb=True, verbosity=0)
            yield server
        finally:
            connection.close()
            connection.settings_dict.update(before)


@pytest.fixture
def platform_on_it(own_database: EmbeddedPostgres, own_queues: str, settings: Any) -> Iterator[Platform]:
    with Platform.on(own_database.environ["DATABASE_URL"], settings.SQS_ENDPOINT_URL, own_queues) as platform:
        yield platform


def test_everything_goes_on_after_postgresql_was_killed_and_started_again(own_database, platform_on_it):
    relay, worker = platform_on_it.relay(), platform_on_it.worker()
    beat = platform_on_it.beat()
    platform_on_it.ready(relay, worker, beat)
    names = [f"n{index}" for index in range(40)]
    with transaction.atomic():
        for name in names:
            work.note.delay(name, seconds=0.1)
    wait_until(lambda: TaskRun.objects.filter(state=State.SUCCEEDED).count() >= 4, what="work to begin")
    own_database.kill()
    with pytest.raises((DatabaseError, InterfaceError)):
        TaskRun.objects.count()
    connection.close()
    own_database.start()
    wait_for_all(120)
    assert_each_once(names)
    assert (relay.returncode, worker.returncode, beat.returncode) == (None, None, None)


@pytest.fixture
def frail(settings: Any) -> None:
    """Queues that move a message after two deliveries. To be asked for first."""
    settings.SQS_MAX_RECEIVES = 2
    settings.SQS_VISIBILITY_TIMEOUT = 2


def test_while_postgresql_is_away_messages_are_not_received_in_vain(frail, own_database, platform_on_it):
    """Each would be on its way to the dead-letter queue, although nothing is wrong with its run."""
    relay, worker = platform_on_it.relay(), platform_on_it.worker()
    platform_on_it.ready(relay, worker)
    names = [f"n{index}" for index in range(40)]
    with transaction.atomic():
        for name in names:
            work.note.delay(name, seconds=0.1)
    wait_until(lambda: TaskRun.objects.filter(state=State.SUCCEEDED).count() >= 4, what="work to begin")
    own_database.kill()
    wait_until(lambda: worker.log.count("agent: OperationalError") >= 8, what="eight seconds of outage")
    connection.close()
    own_database.start()
    wait_for_all(120)
    assert_each_once(names)
    assert queues.depth("default-dlq").empty
