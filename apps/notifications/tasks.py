from __future__ import annotations

from celery import shared_task

from apps.notifications import alerts, orphans, services
from apps.notifications.models import Email
from apps.tasks import Backoff, DurableTask, current_run


@shared_task(
    base=DurableTask,
    name="notifications.send_email",
    queue="email",
    max_attempts=8,
    backoff=Backoff(base=5, factor=3, maximum=3600),
)
def send_email(*, email_id: str) -> dict[str, str]:
    """Send one e-mail."""
    email = Email.objects.select_for_update().get(pk=email_id)
    services.email_send(email=email, idempotency_key=current_run().idempotency_key or email_id)
    return {"recipient": email.recipient}


@shared_task(base=DurableTask, name="notifications.alert_dead_letters", queue="email", max_attempts=1)
def alert_dead_letters() -> dict[str, int]:
    """Tell operators of dead letters; run by beat."""
    alert = alerts.alert_dead_letters()
    return {"told": alert.told, "waiting": alert.waiting}


@shared_task(base=DurableTask, name="notifications.alert_orphans", queue="email", max_attempts=1)
def alert_orphans() -> dict[str, int]:
    """Tell operators of orphans, and users of their workers; run by beat."""
    alert = orphans.alert_orphans()
    return {"scans": alert.scans, "sessions": alert.sessions}
