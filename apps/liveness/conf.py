"""The settings of this app."""

from __future__ import annotations

from django.conf import settings

from apps.liveness.leases import Timing


def beat_every() -> float:
    """Seconds between two beats of a worker."""
    return float(settings.LIVENESS_BEAT_EVERY)


def workers() -> Timing:
    """When a user's trading worker counts as what."""
    return Timing(
        stale_after=stale_after(),
        orphan_after=orphan_after(),
        start_grace=float(settings.LIVENESS_START_GRACE),
        claim_for=claim_for(),
        mass_share=mass_share(),
        mass_of=mass_of(),
    )


def stale_after() -> float:
    """Seconds without a beat up to which a worker counts as alive."""
    return float(settings.LIVENESS_STALE_AFTER)


def orphan_after() -> float:
    """Seconds without a beat after which it is an orphan."""
    return float(settings.LIVENESS_ORPHAN_AFTER)


def claim_for() -> float:
    """Seconds for which a reaper has for itself what it claimed."""
    return float(settings.LIVENESS_CLAIM_FOR)


def mass_share() -> float:
    """The part of a population beyond which not so many can have died at once."""
    return float(settings.LIVENESS_MASS_SHARE)


def mass_of() -> int:
    """The size from which on that is asked."""
    return int(settings.LIVENESS_MASS_OF)


def scans_kept() -> float:
    """Days for which scans that found something are kept."""
    return float(settings.LIVENESS_SCANS_KEPT)


def fallback_after() -> float:
    """Seconds of silence in the database after which Redis need not be asked."""
    return float(settings.LIVENESS_FALLBACK_AFTER)
