"""Reading entries, with what became of their last runs."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery

from apps.tasks.models import PeriodicTask, TaskRun


def entries() -> QuerySet[PeriodicTask]:
    """All entries by name, those of the settings and those of the admin.

    Each has two more attributes about the run that was requested last: ``last_run_state`` and
    ``last_run_at`` (when it was requested), None where there was none or it is not kept any more.
    """
    last = TaskRun.objects.filter(pk=OuterRef("last_run"))
    return PeriodicTask.objects.annotate(
        last_run_state=Subquery(last.values("state")[:1]),
        last_run_at=Subquery(last.values("requested_at")[:1]),
    ).order_by("name")
