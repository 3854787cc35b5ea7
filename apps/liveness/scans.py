"""Records of looks for orphans."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models.functions import Now

from apps.core.resources import sql
from apps.liveness import conf
from apps.liveness.models import Scan

if TYPE_CHECKING:
    from apps.liveness.reconciling import PopulationScan, ScanResult

#: For how long scans that found nothing are kept.
_QUIET = timedelta(days=1)


@transaction.atomic
def record(result: ScanResult) -> Scan:
    """Record a scan, add what it settled to the counts of all scans, and forget scans that are old."""
    with connection.cursor() as cursor:
        for one in result.populations:
            for kind, count in sorted(one.acted.items()):
                if count:
                    cursor.execute(sql(__package__, "count.sql"), [one.name, kind.value, count])
    Scan.objects.filter(at__lt=Now() - timedelta(days=conf.scans_kept())).delete()
    Scan.objects.filter(at__lt=Now() - _QUIET, found=0).delete()
    return Scan.objects.create(
        duration=result.duration,
        members=result.members,
        found=result.found,
        acted=result.acted,
        refused="; ".join(f"{one.name}: {one.refused}" for one in result.populations if one.refused),
        populations={one.name: document(one) for one in result.populations},
        alert_due=result.acted > 0 or any(one.mass for one in result.populations),
    )


def document(found: PopulationScan) -> dict[str, Any]:
    """What was found in one population, as JSON."""
    return {
        "members": found.members,
        "found": {kind.value: count for kind, count in found.found.items() if count},
        "acted": {kind.value: count for kind, count in found.acted.items() if count},
        "refused": found.refused,
        "mass": found.mass,
        "orphans": [
            {
                # PostgreSQL's text holds neither what is none nor NUL.
                "member": one.member.encode(errors="backslashreplace").decode().replace("\0", "\\0"),
                "kind": one.kind.value,
                "silence": None if one.silence is None else round(one.silence.total_seconds(), 1),
            }
            for one in found.orphans
        ],
    }
