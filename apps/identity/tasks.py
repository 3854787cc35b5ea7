from __future__ import annotations

from celery import shared_task

from apps.tasks import DurableTask


@shared_task(base=DurableTask, name="identity.prune", max_attempts=3, atomic=False)
def prune() -> dict[str, int]:
    """Delete keys and logins that have been over for long; run by beat."""
    from apps.identity import pruning

    pruned = pruning.prune()
    return {"keys": pruned.keys, "places": pruned.places}
