"""Fixtures for tests against the private stack of ``manage.py test``."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.contrib.auth import get_user_model
from django.core.management.commands import flush
from django.core.management.sql import sql_flush
from django.test import override_settings

from apps.core.ids import uuid7
from apps.tasks import queues
from tests.platform import long_visibility, platform, private_redis, private_sqs, proxy
from tests.support import filled, forget_audit, forget_events

__all__ = ["long_visibility", "platform", "private_redis", "private_sqs", "proxy"]


def pytest_configure(config: pytest.Config) -> None:
    if not os.environ.get("DATABASE_URL"):
        raise pytest.UsageError("the tests need their servers: run `python3 manage.py test [arguments]`")
    # How long an example takes depends on what else the machine does, and on what is compiled already.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    if alone and config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.collectonly:
        # Before all tests, rather than in each of their processes at once.
        compiling = "from apps.backtests.engine import warm_up; warm_up()"
        subprocess.run([sys.executable, "-c", compiling], check=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Keep what is imported and collected, which stays, from being looked at by every collection of garbage.

    Nearly all objects of the process are of these. Whoever makes ten thousand more has them looked at.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(10_000, 10, 10)


#: Where tests are that take long, most of it waiting for processes: about how many seconds each.
LONG = {
    "acceptance/": 18,
    "benchmarks/test_ratelimits": 15,
    "benchmarks/test_": 2,
    "faults/": 8,
    "stack/test_bootstrap": 2,
    "tasks/test_worker_": 6,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let half of several test processes begin with the long tests, while the others have the short ones.

    They get equal parts of the list in its order, and then take from each other's ends. So the processors
    have work while tests wait, few that wait run at once, and none is left for the end.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    here = Path(__file__).parent
    modules: dict[Path, list[pytest.Item]] = {}
    seconds: Counter[Path] = Counter()
    short: list[pytest.Item] = []
    for item in items:
        place = item.path.relative_to(here).as_posix()
        took = next((each for prefix, each in LONG.items() if place.startswith(prefix)), None)
        if took is None:
            short.append(item)
        else:
            modules.setdefault(item.path, []).append(item)
            seconds[item.path] += took
    if processes < 2:
        return
    shares: list[list[pytest.Item]] = [[] for _ in range((processes + 1) // 2)]
    taken = [0] * len(shares)
    for path, took in seconds.most_common():
        least = taken.index(min(taken))
        shares[least] += modules[path]
        taken[least] += took
    size = len(items) / processes
    items.clear()
    for number, share in enumerate(shares, 1):
        items += share
        room = max(0, round(size * number) - len(items))
        items += short[:room]
        del short[:room]
    items += short


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    running = getattr(item, "funcargs", {}).get("platform")
    if call.when == "call" and report.failed and running is not None:
        report.sections += list(running.story())
    return report


@pytest.fixture(autouse=True, scope="session")
def quick_flush() -> Iterator[None]:
    """Let Django empty those tables only that hold anything, and not what it would fill at once again.

    All of them, filled again, would take a tenth of a second after every test.
    """
    kept = {"django_content_type", "auth_permission"}

    def statements(
        style: Any, connection: Any, reset_sequences: bool = True, allow_cascade: bool = False
    ) -> list[str]:
        if reset_sequences:
            return sql_flush(style, connection, reset_sequences, allow_cascade)
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        tables = filled(*(table for table in tables if table not in kept))
        names = ", ".join(map(connection.ops.quote_name, tables))
        return [f"TRUNCATE {names} CASCADE"] if names else []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", statements)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_: None)
        yield


@pytest.fixture(autouse=True)
def own_keys() -> Iterator[None]:
    """Keys in Redis that no other test uses."""
    # Not by `settings`: some tests mean something else by that name.
    with override_settings(REDIS_KEY_PREFIX=f"t{uuid7().hex[-12:]}-"):
        yield


@pytest.fixture
def new_user(db: None) -> Callable[..., Any]:
    """Makes users."""

    def make(name: str = "", **fields: Any) -> Any:
        name = name or f"u{uuid7().hex[-8:]}"
        manager = get_user_model()._default_manager
        return manager.create_user(name, f"{name}@example.com", "secret", **fields)

    return make


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """Nothing listens where Redis should be."""
    before = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    yield
    settings.REDIS_URL = before


@pytest.fixture
def committed(transactional_db: None) -> Iterator[None]:
    """Tests whose writes other connections see. Everything is gone afterwards, events and audit included."""
    yield
    forget_events()
    forget_audit()


@pytest.fixture
def own_queues(settings: Any) -> Iterator[str]:
    """SQS queues, and keys in Redis, that no other test uses; the value is their prefix."""
    prefix = f"t{uuid7().hex[-12:]}-"
    settings.SQS_QUEUE_PREFIX = settings.REDIS_KEY_PREFIX = prefix
    queues.forget_urls()
    queues.ensure()
    yield prefix
    queues.forget_urls()
