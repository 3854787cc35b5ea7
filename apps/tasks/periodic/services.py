"""Changes to entries by those who define them: the settings, and operators in the admin.

Every change of a definition raises the entry's revision, so a beat that still holds the former one cannot
request anything by it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from apps.core import context
from apps.core.ids import uuid7_of
from apps.tasks.models import PeriodicTask
from apps.tasks.models.periodic import Origin
from apps.tasks.periodic import definitions
from apps.tasks.periodic.validation import durable_task

logger = logging.getLogger(__name__)

#: The key of the advisory lock under which entries of the settings are written: "peri".
_SYNC_LOCK = 0x70657269


def save(*, entry: PeriodicTask) -> None:
    """Keep an entry as it was edited, or a new one.

    Ticks count from now on for an entry that is new, was switched on or got another schedule. Whatever
    beat has written into the row meanwhile stays.
    """
    with transaction.atomic():
        stored = PeriodicTask.objects.select_for_update().filter(pk=entry.pk).first()
        entry.last_error, entry.last_error_at = "", None
        _keep(entry, stored, _database_time())


def switch(*, entry: PeriodicTask, enabled: bool) -> bool:
    """Switch an entry on or off. Returns whether that changed anything."""
    with transaction.atomic():
        stored = PeriodicTask.objects.select_for_update().get(pk=entry.pk)
        if stored.enabled == enabled:
            return False
        changed = PeriodicTask.objects.get(pk=entry.pk)
        changed.enabled = enabled
        _keep(changed, stored, _database_time())
    return True


def run_now(*, entry: PeriodicTask, actor: str = "") -> uuid.UUID:
    """Request a run of the entry apart from its schedule, switched on or not; returns its id.

    Raises `LookupError` where the task is not registered, and `TypeError` where it does not take the
    entry's arguments or options.
    """
    with transaction.atomic(), context.bind(**({"actor": actor} if actor else {})):
        run_id = request(entry=entry)
        PeriodicTask.objects.filter(pk=entry.pk).update(last_run=run_id)
    return run_id


def request(*, entry: PeriodicTask, tick: datetime | None = None) -> uuid.UUID:
    """Request one run of an entry, in the caller's transaction; returns its id.

    The id of a tick's run follows from name and tick: where it was requested before, nothing happens.
    """
    run_id = str(uuid7_of(tick, f"beat:{entry.name}")) if tick else None
    result = durable_task(entry.task).apply_async(
        entry.args, entry.kwargs, task_id=run_id, **entry.call_options
    )
    return uuid.UUID(result.id)


def sync(*, entries: Mapping[Any, Any], timezone: str) -> None:
    """Bring the rows of the settings' entries in line with *entries*. Any number of beats may do so.

    Switches set in the admin stay as they are. An entry that is not in the settings any more is marked as
    retired and not served; should it come back, it finds its switch again, and its ticks count from
    then. A broken entry is logged and kept with its error, without a schedule. A name that an entry of
    the admin has stays with that one.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SYNC_LOCK])
        now = _database_time()
        rows = {row.name: row for row in PeriodicTask.objects.select_for_update().order_by("name")}
        named = {str(name): entry for name, entry in entries.items()}
        for name, entry in named.items():
            stored = rows.get(name)
            if stored is not None and stored.origin == Origin.ADMIN:
                logger.error("periodic entry %s of the settings: an entry of the admin has that name", name)
                continue
            _sync_one(*definitions.read(name, entry, timezone=timezone), stored, now)
        for row in rows.values():
            if row.origin == Origin.SETTINGS and row.retired_at is None and row.name not in named:
                logger.info("periodic entry %s is not in the settings any more", row.name)
                _retire(row, now)
        # Whatever was computed by other code or other time zone data is computed anew.
        PeriodicTask.objects.filter(look_at__isnull=False).update(look_at=now)


def _sync_one(row: PeriodicTask, mistakes: list[str], stored: PeriodicTask | None, now: datetime) -> None:
    row.origin = Origin.SETTINGS
    if mistakes:
        row.last_error, row.last_error_at = "; ".join(mistakes), now
        logger.error("periodic entry %s of the settings is not served: %s", row.name, row.last_error)
    if stored is not None:
        row.pk, row.enabled = stored.pk, stored.enabled
        same = all(getattr(row, field) == getattr(stored, field) for field in definitions.FIELDS)
        if same and stored.retired_at is None and row.last_error == stored.last_error:
            return
    _keep(row, stored, now)


def _retire(row: PeriodicTask, now: datetime) -> None:
    PeriodicTask.objects.filter(pk=row.pk).update(
        retired_at=now, revision=row.revision + 1, look_at=None, next_tick_at=None
    )


def _keep(entry: PeriodicTask, stored: PeriodicTask | None, now: datetime) -> None:
    """Write an entry's definition, given its row, which is locked; None where there is none yet."""
    anew = (
        stored is None
        or stored.retired_at is not None
        or (entry.enabled and not stored.enabled)
        or any(getattr(entry, field) != getattr(stored, field) for field in definitions.TIMING)
    )
    entry.revision = stored.revision + 1 if stored else 1
    entry.retired_at = None
    entry.counts_from = now if stored is None or anew else stored.counts_from
    entry.look_at = entry.next_tick_at = None
    if entry.enabled and (entry.interval is not None or entry.crontab):
        # Beat turns to it at once: there may be ticks that failed so far.
        entry.look_at, entry.next_tick_at = now, entry.schedule.next_after(now)
    if stored is None:
        entry.save(force_insert=True)
    else:
        entry.save(update_fields=_WRITTEN)


_WRITTEN = (
    "name", "enabled", "revision", "retired_at", "counts_from", "look_at", "next_tick_at", "last_error",
    "last_error_at", *definitions.FIELDS,
)  # fmt: skip


def _database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
