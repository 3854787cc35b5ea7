"""The store is not what makes appending slow."""

from __future__ import annotations

import pytest

from tests.events.append_speed import ratio

pytestmark = pytest.mark.django_db(transaction=True)


def test_batches_of_a_hundred_are_appended_at_seven_tenths_of_the_speed_of_copy(committed):
    assert max(ratio(size=100, rounds=40) for _ in range(2)) >= 0.7
