"""Operators are told of dead letters: at once, all in one mail, and not too often."""

from __future__ import annotations

import re
import smtplib
from email.message import EmailMessage

import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, transaction

from apps.notifications.alerts import KIND, Alert, alert_dead_letters
from apps.notifications.checks import check_operators
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email
from apps.notifications.services import email_request
from apps.notifications.tasks import alert_dead_letters as alert_task
from apps.stack.testing import SmtpSink
from apps.tasks import services
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending
from tests.support import wait_until
from tests.workload import tasks as work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]


@pytest.fixture(autouse=True)
def operators(settings):
    settings.OPERATORS = ["ops@example.com"]
    settings.PUBLIC_URL = "https://chandlery.example"


def die(count: int = 1) -> list[TaskRun]:
    results = [work.refused.delay() for _ in range(count)]
    run_pending()
    runs = list(TaskRun.objects.filter(pk__in=[result.id for result in results]))
    assert {run.state for run in runs} == {State.DEAD}
    return runs


def alert() -> Alert:
    """One look, and the sending of what it wrote."""
    found = alert_dead_letters()
    run_pending()
    return found


def let_time_pass(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE notifications_email SET created_at = created_at - %s * interval '1 s'", [seconds]
        )


def pending() -> int:
    return TaskRun.objects.filter(alert_due=True).count()


def test_the_first_dead_letter_is_told_of_at_once_and_through_a_real_mail_server(settings):
    (run,) = die()
    settings.OPERATORS = ["ops@example.com", " night@example.com", "ops@example.com", ""]
    with SmtpSink() as sink:
        address = sink.environ["EMAIL_URL"].removeprefix("smtp://")
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = address.split(":")
        assert alert() == Alert(told=1)
        received: list[EmailMessage] = sink.mails()
    assert sorted(message["To"] for message in received) == ["night@example.com", "ops@example.com"]
    text = received[0].get_body(("plain",)).get_content()
    assert received[0]["Subject"] == "1 dead task: workload.refused"
    assert "1 × workload.refused (queue default)" in text
    assert "1 × PermanentError: no use" in text
    assert f"https://chandlery.example/admin/tasks/taskrun/{run.pk}/change/" in text
    assert "https://chandlery.example/admin/tasks/taskrun/?state=dead" in text
    assert pending() == 0


def test_operators_are_told_at_whatever_can_be_an_address(settings):
    settings.OPERATORS = ["Ops <ops@example.com>", "ops@mailhost", "night@example.com"]
    die()
    alert()
    assert sorted(message.to for message in mail.outbox) == [
        ["night@example.com"], ["ops@example.com"], ["ops@mailhost"],
    ]  # fmt: skip
    assert check_operators(app_configs=None) == []
    settings.OPERATORS = ["ops", "ops@example.com", "Ops <ops>", "a@", f"ops@{'x' * 250}.com"]
    assert [one.id for one in check_operators(app_configs=None)] == ["notifications.E001"] * 4
    with pytest.raises(SystemCheckError, match="OPERATOR_EMAILS has 'ops', which is no e-mail address"):
        call_command("check")


def test_the_links_lead_to_pages_of_the_admin(admin_client):
    die()
    alert()
    links = re.findall(r"https://chandlery.example(\S+)", mail.outbox[0].body)
    assert len(links) == 2
    for link in links:
        assert admin_client.get(link).status_code == 200


def test_what_dies_meanwhile_is_in_the_next_mail():
    die()
    alert()
    die(3)
    assert alert() == Alert(waiting=3)
    let_time_pass(890)
    assert alert() == Alert(waiting=3)
    assert len(mail.outbox) == 1
    let_time_pass(20)
    assert alert() == Alert(told=3)
    assert mail.outbox[1].subject == "3 dead tasks: workload.refused"
    assert alert() == Alert()
    let_time_pass(10_000)
    assert alert() == Alert()
    assert len(mail.outbox) == 2


def test_a_clock_that_was_ahead_does_not_silence_alerts(settings):
    die()
    assert alert() == Alert(told=1)
    let_time_pass(-365 * 86_400)
    die()
    assert alert() == Alert(told=1)
    die()
    assert alert() == Alert(waiting=1)


def test_the_time_between_mails_is_a_setting(settings):
    settings.ALERT_EVERY = 0
    for _ in range(3):
        die()
        assert alert() == Alert(told=1)
    assert len(mail.outbox) == 3


def test_a_mail_has_twenty_lines_at_most_the_commonest_first():
    runs = die(30)
    with connection.cursor() as cursor:
        for index, run in enumerate(runs):
            cursor.execute(
                "UPDATE tasks_taskrun SET task = %s,"
                " error = jsonb_build_object('type', 'E', 'message', %s::text) WHERE id = %s",
                [
                    "many.ways" if index < 26 else "one.way",
                    f"m{index}" if index < 26 else "x\n" * 300,
                    run.pk,
                ],
            )
    alert()
    body = mail.outbox[0].body
    assert body.index("26 × many.ways") < body.index("and 10 more")
    assert body.count("the latest, at") == 20
    assert "one.way" not in body
    assert mail.outbox[0].subject == "30 dead tasks: many.ways and more"


def test_a_reason_takes_one_line_whatever_it_holds():
    (run,) = die()
    TaskRun.objects.filter(pk=run.pk).update(error={"type": "E", "message": "a\n\nBcc: <b>" + "x" * 5000})
    alert()
    (line,) = [line for line in mail.outbox[0].body.splitlines() if "E: a" in line]
    assert line.strip().startswith("1 × E: a Bcc: <b>xxx")
    assert line.endswith("…")
    assert len(line) < 220


def test_without_operators_nobody_is_told_then_or_later(settings):
    settings.OPERATORS = []
    die(2)
    assert alert() == Alert()
    assert pending() == 0
    settings.OPERATORS = ["ops@example.com"]
    assert alert() == Alert()
    assert not mail.outbox


def test_flags_and_mails_are_one_transaction():
    die()
    with pytest.raises(RuntimeError), transaction.atomic():
        alert_dead_letters()
        raise RuntimeError
    assert pending() == 1
    assert not Email.objects.exists()
    assert alert() == Alert(told=1)


def test_a_run_that_was_redriven_in_time_is_not_told_of():
    (run,) = die()
    services.redrive(run_id=run.pk)
    services.cancel(run_id=run.pk)
    assert alert() == Alert()


def test_mails_about_dead_letters_that_die_themselves_are_not_told_of(settings, monkeypatch):
    """An address that the server refuses for good: no mail about the mail about the mail."""

    def refuse(self, *args, **kwargs):
        raise smtplib.SMTPDataError(554, b"never")

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    die()
    for _ in range(5):
        alert()
        let_time_pass(1000)
    assert Email.objects.filter(kind=KIND).count() == 1
    assert TaskRun.objects.filter(task="notifications.send_email", state=State.DEAD).count() == 1
    assert pending() == 0
    # Other mails that die are told of, once.
    email_request(
        kind="backtest_finished",
        recipient="gone@example.com",
        about="b",
        context=kind_of("backtest_finished").sample,
    )
    run_pending()
    for _ in range(5):
        alert()
        let_time_pass(1000)
    assert Email.objects.filter(kind=KIND).count() == 2


def test_beat_has_it_done_by_a_durable_task_over_the_queue(platform, settings):
    from project.settings import base

    entry = base.CELERY_BEAT_SCHEDULE["alert-dead-letters"]
    assert entry == {"task": alert_task.name, "schedule": 30.0}
    die()
    with SmtpSink() as sink:
        platform.environ |= {**sink.environ, "OPERATOR_EMAILS": "a@example.com,b@example.com"}
        platform.relay()
        platform.worker("email", concurrency=1)
        result = alert_task.delay()
        wait_until(lambda: len(sink.mails()) == 2, seconds=60, what="two mails")
        assert {message["To"] for message in sink.mails()} == {"a@example.com", "b@example.com"}
    assert TaskRun.objects.get(pk=result.id).result == {"told": 1, "waiting": 0}
