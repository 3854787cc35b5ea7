"""Cancelling and deleting sweeps."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from apps.backtests.sweeps.models import Sweep, SweepChunk
from apps.tasks.batches import batch_cancel
from apps.tasks.models import TaskRun
from apps.tasks.states import ENDED


class Ended(Exception):
    """There is nothing left to be cancelled."""


@transaction.atomic
def sweep_cancel(*, sweep: Sweep, actor: str) -> None:
    """Cancel all that has not been computed; what was stays, and is judged.

    Raises `Ended`, and `Sweep.DoesNotExist` when it was deleted meanwhile.
    """
    held = Sweep.objects.select_for_update().get(pk=sweep.pk)
    over = TaskRun.objects.filter(pk=held.finish_run, state__in=ENDED)
    if held.finished_at is not None or held.cancelled_at is not None or over.exists():
        raise Ended("This sweep has ended.")
    held.cancelled_at = timezone.now()
    held.save(update_fields=["cancelled_at"])
    batch_cancel(batch_id=held.batch, actor=actor)
    sweep.cancelled_at = held.cancelled_at


@transaction.atomic
def sweep_delete(*, sweep: Sweep, actor: str) -> None:
    """Delete a sweep with what it found; one that runs is cancelled. Its backtests stay."""
    held = Sweep.objects.select_for_update().filter(pk=sweep.pk).first()
    if held is None:
        return
    # As workers do it, who store what they found in a chunk and then end its run: chunks before runs.
    list(SweepChunk.objects.select_for_update().filter(sweep=held).order_by("number").values_list("pk"))
    if held.finished_at is None and held.cancelled_at is None:
        batch_cancel(batch_id=held.batch, actor=actor)
    held.delete()
