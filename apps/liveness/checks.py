"""Settings that contradict each other, found by ``manage.py check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.liveness import conf
from apps.liveness.workers import SEEN_EVERY


def check_times(*, app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """Beats come often enough, and what follows from their absence comes in its order."""
    beat, stale, orphan = conf.beat_every(), conf.stale_after(), conf.orphan_after()
    report, fallback = float(settings.TASKS_REPORT_EVERY), conf.fallback_after()
    # The database hears of a worker so late at most, while Redis does at once.
    late = orphan + SEEN_EVERY + float(settings.LIVENESS_RECONCILE_EVERY)
    rules = (
        (beat > 0, "E001", "LIVENESS_BEAT_EVERY must be more than 0."),
        (
            stale >= 2 * max(beat, report),
            "E002",
            "LIVENESS_STALE_AFTER must leave time for two beats: it must be at least twice"
            " LIVENESS_BEAT_EVERY and TASKS_REPORT_EVERY.",
        ),
        (orphan >= stale, "E003", "LIVENESS_ORPHAN_AFTER must be at least LIVENESS_STALE_AFTER."),
        (
            fallback >= late,
            "E004",
            f"LIVENESS_FALLBACK_AFTER must be at least {late:g}: {SEEN_EVERY:g} and LIVENESS_RECONCILE_EVERY"
            " more than LIVENESS_ORPHAN_AFTER. Who is alive could be taken for dead when Redis is away.",
        ),
        (0 < conf.mass_share() <= 1, "E005", "LIVENESS_MASS_SHARE must be more than 0 and at most 1."),
        (conf.claim_for() > 0, "E006", "LIVENESS_CLAIM_FOR must be more than 0."),
    )
    return [Error(message, id=f"liveness.{name}") for holds, name, message in rules if not holds]
