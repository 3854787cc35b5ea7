"""Every operation answers what the OpenAPI schema says, to what it allows and to what it does not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.contracts.world import world_of

#: The operations are taken in so many parts, at the same time where there are processors.
PARTS = 3
#: Made-up requests for each operation, beside those that follow from its schema.
EXAMPLES, SEED = 3, 1


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log line for each of thousands of requests."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def signed_in(user: Any, password: str) -> str:
    """The ``Authorization`` of a new login."""
    given = {"username": user.username, "password": password}
    answer = Client().post("/api/v1/auth/login", given, content_type="application/json")
    return f"Token {answer.json()['token']}"


@pytest.mark.django_db
@pytest.mark.parametrize("part", range(PARTS))
def test_operations_keep_to_the_schema(part, new_user, quiet):
    from tests.contracts.fuzzing import Fuzzer, application

    owner, stranger = new_user("alice", is_staff=True, is_superuser=True), new_user("bob")
    callers = {user.username: signed_in(user, "secret") for user in (owner, stranger)}
    known = world_of(owner)
    with application() as app:
        fuzzer = Fuzzer(app, known=known, callers=callers, examples=EXAMPLES, seed=SEED)
        fuzzer.run(fuzzer.operations()[part::PARTS])
    told = "\n\n".join(f"{' | '.join(key)}\n{how}" for key, how in fuzzer.failures.items())
    assert not fuzzer.failures, told
    # Not all of it is refused.
    assert fuzzer.statuses["alice", 200] > 50
    assert not any(status >= 500 for _, status in fuzzer.statuses)
