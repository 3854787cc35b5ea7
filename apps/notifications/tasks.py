from __future__ import annotations

from celery import shared_task

from apps.notifications import alerts, orphans, sending, services
from apps.notifications.models import Email
from apps.tasks import Backoff, DurableTask, current_run


@shared_task(
    base=DurableTask,
    name="notifications.send_email",
    queue="email",
    # The mail server is not waited for within a transaction.
    atomic=False,
    # Within a quarter of an hour, and then every half an hour on average: about a day in all.
    max_attempts=54,
    backoff=Backoff(base=5, factor=3, maximum=3600),
)
def send_email(*, email_id: str) -> dict[str, str]:
    """Send one e-mail."""
    email, run = Email.objects.get(pk=email_id), current_run()
    provider_id = sending.email_send(email=email, run=run)
    done = {"recipient": email.recipient}
    if provider_id is None:
        return {**done, "suppressed": sending.TURNED_OFF}
    with run.completing(done):
        sending.email_sent(email=email, provider_id=provider_id)
    return done


@shared_task(base=DurableTask, name="notifications.prune", max_attempts=3, atomic=False)
def prune() -> dict[str, int]:
    """Delete what old mails say; run by beat."""
    return {"emptied": services.emails_empty()}


@shared_task(base=DurableTask, name="notifications.alert_dead_letters", queue="email", max_attempts=1)
def alert_dead_letters() -> dict[str, int]:
    """Tell operators of dead letters, and settle mails whose runs were given up; run by beat."""
    services.emails_settle()
    alert = alerts.alert_dead_letters()
    return {"told": alert.told, "waiting": alert.waiting}


@shared_task(base=DurableTask, name="notifications.alert_orphans", queue="email", max_attempts=1)
def alert_orphans() -> dict[str, int]:
    """Tell operators of orphans, and users of their workers; run by beat."""
    alert = orphans.alert_orphans()
    return {"scans": alert.scans, "sessions": alert.sessions}
