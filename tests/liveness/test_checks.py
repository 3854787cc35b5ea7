"""Settings that contradict each other are refused by ``manage.py check``."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from apps.liveness.checks import check_times


@pytest.fixture(autouse=True)
def as_delivered(settings):
    settings.TASKS_REPORT_EVERY, settings.LIVENESS_RECONCILE_EVERY = 5.0, 30.0


def test_what_is_delivered_is_consistent():
    assert check_times(app_configs=None) == []
    call_command("check")


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("LIVENESS_BEAT_EVERY", 0.0, "liveness.E001"),
        ("LIVENESS_BEAT_EVERY", 20.0, "liveness.E002"),
        ("TASKS_REPORT_EVERY", 20.0, "liveness.E002"),
        ("LIVENESS_ORPHAN_AFTER", 20.0, "liveness.E003"),
        ("LIVENESS_FALLBACK_AFTER", 179.0, "liveness.E004"),
        ("LIVENESS_RECONCILE_EVERY", 200.0, "liveness.E004"),
        ("LIVENESS_MASS_SHARE", 0.0, "liveness.E005"),
        ("LIVENESS_MASS_SHARE", 1.1, "liveness.E005"),
        ("LIVENESS_CLAIM_FOR", 0.0, "liveness.E006"),
    ],
)
def test_what_would_declare_the_living_dead_is_refused(settings, name, value, error):
    setattr(settings, name, value)
    assert [one.id for one in check_times(app_configs=None)] == [error]
    with pytest.raises(SystemCheckError, match=error):
        call_command("check")
