"""Operators see mails and how each kind looks, have them sent again, and what Prometheus is told."""

from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.db import connection
from django.test import Client

from apps.notifications.kinds import all_kinds, kind_of
from apps.notifications.models import Email, Preference, SuppressedAddress
from apps.notifications.services import email_request
from apps.notifications.tasks import alert_dead_letters
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending

pytestmark = pytest.mark.django_db

LIST = "/admin/notifications/email/"
TEMPLATES = f"{LIST}templates/"


def text(response: Any) -> str:
    assert response.status_code == 200, response
    return unescape(response.content.decode())


def ask(about: str = "order:1", **given: Any) -> Email:
    email = email_request(
        kind="order_rejected",
        about=about,
        context=kind_of("order_rejected").sample,
        **(given or {"recipient": "alice@example.com"}),
    )
    assert email is not None
    return email


def viewer(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("viewer", "viewer@example.com", "x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def test_mails_are_found_by_state_kind_and_words(admin_client):
    ask("order:1")
    ask("order:2", recipient="bert@example.com")
    Email.objects.filter(about="order:2").update(state="refused", reason="550 unknown")
    page = text(admin_client.get(LIST))
    assert "alice@example.com" in page
    assert '<span class="badge bad"' in page
    for query, there in (
        ({"state": "refused"}, False), ({"state": "requested"}, True), ({"kind": "orphans"}, False),
        ({"kind": "order_rejected"}, True), ({"q": "alice"}, True), ({"q": "order:2"}, False),
    ):  # fmt: skip
        assert ("alice@example.com" in text(admin_client.get(LIST, query))) is there, query


def test_a_mail_is_shown_as_it_looks_and_cannot_do_anything_there(admin_client):
    email = ask()
    Email.objects.filter(pk=email.pk).update(
        html="<script>alert('\"')</script>", body="<script>alert(1)</script>"
    )
    response = admin_client.get(f"{LIST}{email.pk}/change/")
    raw, page = response.content.decode(), text(response)
    assert "<script>alert" not in raw
    assert raw.count("<iframe sandbox srcdoc=") == 2
    assert "<script>alert('\"')</script>" in page
    assert f"/admin/tasks/taskrun/{email.task_run}/change/" in page
    assert 'name="_save"' not in raw


def test_mails_that_were_given_up_are_sent_again_by_one_click(admin_client, client, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    refused, sent = ask("order:1", recipient="no address"), ask("order:2")
    run_pending()
    Email.objects.filter(pk=refused.pk).update(recipient="alice2@example.com")
    chosen = {"action": "resend", "_selected_action": [refused.pk, sent.pk]}
    page = text(admin_client.post(LIST, chosen, follow=True))
    assert "1 on the way again." in page
    assert "it is sent" in page
    run_pending()
    assert [message.to for message in mail.outbox] == [["alice@example.com"], ["alice2@example.com"]]
    run = TaskRun.objects.get(pk=refused.task_run)
    assert run.state == "succeeded"
    looker = viewer(client, "view_email")
    assert "Send again" not in text(looker.get(LIST))


def test_every_kind_has_a_preview_and_sends_a_test_to_whoever_asks(admin_client, admin_user, settings):
    settings.PUBLIC_URL = "https://chandlery.example"
    page = text(admin_client.get(TEMPLATES))
    for kind in all_kinds():
        assert f"{TEMPLATES}{kind.name}/" in page
        one = text(admin_client.get(f"{TEMPLATES}{kind.name}/"))
        assert one.count("<iframe sandbox srcdoc=") == 2
        # One is light and one is dark, whatever the reader's scheme is.
        assert one.count("@media not all {") == one.count("@media all {") == 1
        assert all(f"<code>{name}</code>" in one for name in [*kind.fields, *kind.optional, kind.about])
    response = admin_client.post(f"{TEMPLATES}orphans/", follow=True)
    assert f"on its way to {admin_user.email}" in text(response)
    run_pending()
    (message,) = mail.outbox
    assert message.to == [admin_user.email]
    assert message.subject.startswith("[Test] ")
    assert admin_client.get(f"{TEMPLATES}nonsense/").status_code == 404
    User.objects.update(email="")
    assert "no e-mail address" in text(admin_client.post(f"{TEMPLATES}orphans/", follow=True))
    assert Email.objects.count() == 1


def test_a_test_does_not_hold_back_the_next_alert(admin_client, settings):
    from apps.notifications.alerts import alert_dead_letters as look
    from tests.workload import tasks as work

    settings.OPERATORS = ["ops@example.com"]
    admin_client.post(f"{TEMPLATES}dead_letters/")
    work.refused.delay()
    run_pending()
    assert look().told == 1


def test_a_template_that_cannot_be_rendered_is_said_on_its_page(admin_client, settings, tmp_path: Path):
    (tmp_path / "notifications").mkdir()
    (tmp_path / "notifications" / "orphans.html").write_text("{% nonsense %}")
    settings.TEMPLATES = [{**configured.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    for address in (TEMPLATES, f"{TEMPLATES}orphans/"):
        assert "a template of orphans is broken" in text(admin_client.get(address))


def test_who_may_look_may_not_send(client):
    looker = viewer(client, "view_email")
    assert "Send me a test" not in text(looker.get(f"{TEMPLATES}orphans/"))
    assert looker.post(f"{TEMPLATES}orphans/").status_code == 403
    stranger = Client()
    stranger.force_login(User.objects.create_user("other", is_staff=True))
    for address in (LIST, TEMPLATES, f"{TEMPLATES}orphans/"):
        assert stranger.get(address).status_code == 403
    assert not Email.objects.exists()


def test_operators_decide_for_users_and_lift_suppressions(admin_client, admin_user):
    add = "/admin/notifications/preference/add/"
    answer = admin_client.post(add, {"user": admin_user.pk, "kind": "order_needs_review"})
    assert "cannot be turned off" in text(answer)
    answer = admin_client.post(add, {"user": admin_user.pk, "kind": "order_rejected"})
    assert answer.status_code == 302
    preference = Preference.objects.get()
    assert (preference.kind, preference.enabled, preference.source) == ("order_rejected", False, "admin")
    assert ask(user=admin_user).state == "suppressed"
    assert "order_rejected" in text(admin_client.get("/admin/notifications/preference/"))

    where = "/admin/notifications/suppressedaddress/"
    for address in ("a@example.com", "b@example.com"):
        SuppressedAddress.objects.create(address=address, reason="550 unknown")
    one = SuppressedAddress.objects.get(address="a@example.com")
    assert "550 unknown" in text(admin_client.get(f"{where}{one.pk}/change/"))
    lift = {"action": "lift", "_selected_action": [one.pk]}
    assert "1 lifted." in text(admin_client.post(where, lift, follow=True))
    assert "0 lifted." in text(admin_client.post(where, lift, follow=True))
    standing = text(admin_client.get(where, {"standing": "yes"}))
    assert ("a@example.com" in standing, "b@example.com" in standing) == (False, True)
    one.refresh_from_db()
    assert one.lifted_by == f"user:{admin_user.pk}"


def test_prometheus_is_told_of_mails_by_kind_and_state_and_of_the_oldest_unsent(admin_client):
    ask("order:1")
    run_pending()
    ask("order:2")
    ask("order:3")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_email SET created_at = created_at - interval '2 h' WHERE about = 'order:2'"
        )
    Email.objects.create(kind="orphans", recipient="o@example.com", about="o:1", state="refused")
    SuppressedAddress.objects.create(address="a@example.com", reason="gone")
    found = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in text(admin_client.get("/metrics")).splitlines()
        if line.startswith("chandlery_emails")
    }
    oldest = found.pop("chandlery_emails_oldest_unsent_seconds")
    assert 7100 < oldest < 7500
    assert found == {
        'chandlery_emails{kind="order_rejected",state="sent"}': 1,
        'chandlery_emails{kind="order_rejected",state="requested"}': 2,
        'chandlery_emails{kind="orphans",state="refused"}': 1,
        "chandlery_emails_unsent": 2,
        "chandlery_emails_suppressed_addresses": 1,
    }


def test_beat_finds_out_about_mails_whose_runs_were_given_up():
    from apps.tasks import services

    email = ask()
    services.cancel(run_id=email.task_run)
    alert_dead_letters.delay()
    run_pending()
    email.refresh_from_db()
    assert (email.state, email.reason) == ("failed", "its run was cancelled")
