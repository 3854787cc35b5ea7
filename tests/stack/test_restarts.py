from __future__ import annotations

from apps.stack.restarts import Restarts


def test_the_delay_doubles_up_to_its_limit() -> None:
    restarts = Restarts(limit=100, first=0.5, longest=3.0)
    assert [restarts.delay(float(second)) for second in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_sixth_crash_within_a_minute_is_one_too_many() -> None:
    restarts = Restarts()
    assert all(restarts.delay(10.0 * number) is not None for number in range(5))
    assert restarts.delay(59.0) is None


def test_crashes_longer_ago_than_the_window_are_forgotten() -> None:
    restarts = Restarts()
    for number in range(20):
        assert restarts.delay(12.0 * number) is not None


def test_after_a_quiet_minute_the_delay_is_short_again() -> None:
    restarts = Restarts()
    first = restarts.delay(0.0)
    assert restarts.delay(1.0) != first
    assert restarts.delay(120.0) == first
