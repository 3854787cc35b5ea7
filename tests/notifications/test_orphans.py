"""Operators are told of orphans, and users of their workers: at once, all in one mail, and not too often."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.utils import timezone

from apps.liveness import services
from apps.liveness.models import Scan, WorkerSession
from apps.liveness.reconciling import reconcile_orphans
from apps.notifications.models import Email
from apps.notifications.orphans import OrphanAlert, alert_orphans
from apps.notifications.tasks import alert_orphans as alert_task
from apps.tasks.testing import run_pending
from tests.liveness.helpers import elapse, rebuilt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def operators(settings):
    settings.OPERATORS = ["ops@example.com"]
    settings.PUBLIC_URL = "https://chandlery.example"
    settings.LIVENESS_START_GRACE = 0.0


def user(name, **fields):
    manager = get_user_model()._default_manager
    return manager.create_user(name, fields.pop("email", f"{name}@example.com"), "x", **fields)


def orphan(*users):
    """Their workers are found dead."""
    for one in users:
        services.session_start(user_id=one.pk, worker=f"host/{one.get_username()}")
    rebuilt()
    elapse(95)
    reconcile_orphans()


def alert():
    """One look, and the mails that came of it."""
    mail.outbox.clear()
    found = alert_orphans()
    run_pending()
    return found, {message.to[0]: message for message in mail.outbox}


def let_time_pass():
    Email.objects.update(created_at=timezone.now() - timedelta(seconds=901))


def test_the_user_and_the_operators_are_told_of_an_orphaned_worker():
    anna = user("anna")
    orphan(anna)
    told, mails = alert()
    assert told == OrphanAlert(scans=1, sessions=1)
    assert sorted(mails) == ["anna@example.com", "ops@example.com"]
    assert mails["ops@example.com"].subject == "1 orphan settled: 1 workers"
    text = mails["ops@example.com"].body
    assert "1 × it has not beaten in time" in text
    assert re.search(rf"workers {anna.pk}, silent for 95\.\d s", text)
    assert "https://chandlery.example/admin/liveness/workersession/now/" in text
    assert mails["anna@example.com"].subject == "Your trading worker was not heard of in time"
    assert re.search(
        r"host/anna, which began at .* UTC, was declared dead at .* UTC: it has not beaten for 95 s\.",
        mails["anna@example.com"].body,
    )
    assert alert() == (OrphanAlert(), {})


def test_the_link_leads_to_the_board(admin_client):
    orphan(user("anna"))
    _, mails = alert()
    [address] = re.findall(r"https://chandlery.example(\S+)", mails["ops@example.com"].body)
    assert admin_client.get(address).status_code == 200


def test_what_happens_soon_after_a_mail_waits_for_the_next():
    anna, bert = user("anna"), user("bert")
    orphan(anna)
    alert()
    orphan(anna, bert)
    told, mails = alert()
    assert told == OrphanAlert(sessions=1)
    assert sorted(mails) == ["bert@example.com"]
    orphan(anna)
    assert alert() == (OrphanAlert(), {})
    let_time_pass()
    told, mails = alert()
    assert told == OrphanAlert(scans=2, sessions=2)
    assert mails["ops@example.com"].subject == "3 orphans settled: 3 workers"
    assert mails["anna@example.com"].body.count("was declared dead") == 2


def test_operators_are_asked_for_a_decision_where_most_are_late_at_once():
    users = [user(f"u{number}") for number in range(10)]
    orphan(*users)
    told, mails = alert()
    assert told == OrphanAlert(scans=1)
    assert list(mails) == ["ops@example.com"]
    assert mails["ops@example.com"].subject == "Most workers are late at once: nothing was done"
    assert "manage.py reconcile_orphans --force" in mails["ops@example.com"].body
    reconcile_orphans()
    assert alert()[0] == OrphanAlert(), "every look says it; one mail is enough for a while"


def test_a_long_list_is_cut(settings):
    settings.LIVENESS_MASS_SHARE = 1.0
    orphan(*(user(f"u{number}", email="") for number in range(30)))
    _, mails = alert()
    text = mails["ops@example.com"].body
    assert mails["ops@example.com"].subject == "30 orphans settled: 30 workers"
    assert text.count("silent for") == 20
    assert "  and 10 more\n" in text
    assert "30 × it has not beaten in time" in text


@pytest.mark.parametrize("fields", [{"email": ""}, {"is_active": False}])
def test_who_cannot_be_told_is_not(fields):
    orphan(user("anna", **fields))
    told, mails = alert()
    assert (told.sessions, list(mails)) == (0, ["ops@example.com"])
    assert not WorkerSession.objects.filter(alert_due=True).exists()


def test_a_user_who_is_gone_is_no_trouble():
    anna = user("anna")
    orphan(anna)
    anna.delete()
    assert alert()[0] == OrphanAlert(scans=1)
    assert not WorkerSession.objects.filter(alert_due=True).exists()


def test_without_operators_nothing_piles_up(settings):
    settings.OPERATORS = []
    orphan(user("anna"))
    assert alert()[0] == OrphanAlert(sessions=1)
    assert not Scan.objects.filter(alert_due=True).exists()


def test_quiet_scans_are_told_to_nobody():
    reconcile_orphans()
    assert alert() == (OrphanAlert(), {})


def test_beat_has_it_done(settings):
    from project.settings import base

    assert base.CELERY_BEAT_SCHEDULE["alert-orphans"]["task"] == alert_task.name
    orphan(user("anna"))
    alert_task.delay()
    run_pending()
    assert Email.objects.count() == 2
