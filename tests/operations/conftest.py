from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.db import DatabaseError, connection

from apps.operations import snapshot, status
from apps.tasks import depths
from tests.candles.conftest import shared_candles

__all__ = ["shared_candles"]


@pytest.fixture(autouse=True)
def looks_anew(own_keys: None) -> Iterator[None]:
    """Nothing is remembered of another test."""

    def forget() -> None:
        snapshot.forget()
        status.forget()
        depths.forget()

    forget()
    yield
    forget()


@pytest.fixture
def database_away() -> Callable[[], AbstractContextManager[None]]:
    """Within a block of it, every statement fails as it does where nothing listens."""

    def refuse(*_: object) -> None:
        raise DatabaseError("connection refused")

    @contextmanager
    def away() -> Iterator[None]:
        with connection.execute_wrapper(refuse):
            yield

    return away
