from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps.core.ids import moment_of, uuid7, uuid7_of


def test_identifiers_are_version_7_and_sort_by_time():
    made = []
    for _ in range(3):
        before = datetime.now(UTC)
        made.append(uuid7())
        assert abs(moment_of(made[-1]) - before) < timedelta(seconds=5)
    assert {identifier.version for identifier in made} == {7}
    assert {identifier.variant for identifier in made} == {uuid.RFC_4122}
    assert len(set(made)) == 3
    early, late = (
        uuid7_of(datetime(2026, 1, 1, tzinfo=UTC), "x"),
        uuid7_of(datetime(2026, 1, 2, tzinfo=UTC), "a"),
    )
    assert early < late


def test_the_same_occasion_has_the_same_identifier_everywhere():
    moment = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    assert uuid7_of(moment, "beat:a") == uuid7_of(moment, "beat:a")
    assert uuid7_of(moment, "beat:a") != uuid7_of(moment, "beat:b")
    assert uuid7_of(moment, "beat:a") != uuid7_of(moment + timedelta(minutes=1), "beat:a")
    assert moment_of(uuid7_of(moment, "beat:a")) == moment


def test_another_version_carries_no_moment():
    with pytest.raises(ValueError, match="version 7"):
        moment_of(uuid.uuid4())
