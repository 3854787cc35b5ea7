"""E-mails are asked for in transactions and sent by durable tasks."""

from __future__ import annotations

import os
import smtplib
from pathlib import Path

import pytest
from django.core import mail
from django.db import transaction

from apps.notifications.models import Email
from apps.notifications.services import email_request
from apps.stack.testing import SmtpSink
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import run_pending

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

CONTEXT = {
    "strategy": "sma_cross",
    "instrument": "binance:BTC/USDT",
    "lines": ["sharpe: 1.00"],
    "url": "http://x/",
}


def ask(about: str = "backtest:1", recipient: str = "alice@example.com") -> Email:
    return email_request(kind="backtest_finished", recipient=recipient, about=about, context=CONTEXT)


def test_an_email_is_sent_once_however_often_it_is_asked_for():
    first, second = ask(), ask()
    assert first.pk == second.pk
    run_pending()
    (message,) = mail.outbox
    assert message.subject.startswith("Backtest finished: sma_cross on binance:BTC/USDT")
    assert "sharpe: 1.00" in message.body
    assert message.to == ["alice@example.com"]
    assert message.extra_headers["Message-ID"].startswith(f"<{first.task_run}@")
    first.refresh_from_db()
    assert first.sent_at is not None


def test_different_people_and_things_have_emails_of_their_own():
    assert len({ask().pk, ask("backtest:2").pk, ask(recipient="bob@example.com").pk}) == 3


def test_an_email_of_a_rolled_back_transaction_is_never_sent():
    with pytest.raises(RuntimeError), transaction.atomic():
        ask()
        raise RuntimeError
    assert run_pending() == []
    assert mail.outbox == []


def test_a_context_cannot_add_headers():
    email_request(
        kind="backtest_finished",
        recipient="alice@example.com",
        about="x",
        context={**CONTEXT, "instrument": "a\nBcc: eve@example.com"},
    )
    run_pending()
    (message,) = mail.outbox
    assert "\n" not in message.subject
    assert message.recipients() == ["alice@example.com"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (smtplib.SMTPServerDisconnected("gone"), State.SCHEDULED),
        (smtplib.SMTPDataError(451, b"later"), State.SCHEDULED),
        (smtplib.SMTPDataError(554, b"never"), State.DEAD),
        (smtplib.SMTPRecipientsRefused({"alice@example.com": (450, b"busy")}), State.SCHEDULED),
        (smtplib.SMTPRecipientsRefused({"alice@example.com": (550, b"unknown")}), State.DEAD),
    ],
)
def test_what_the_mail_server_says_decides_whether_to_try_again(monkeypatch, error, state):
    def refuse(self, *args, **kwargs):
        raise error

    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    email = ask()
    run_pending()
    run = TaskRun.objects.get(pk=email.task_run)
    assert run.state == state
    email.refresh_from_db()
    assert email.sent_at is None


def test_an_email_reaches_a_real_mail_server(settings, tmp_path: Path):
    with SmtpSink() as sink:
        address = sink.environ["EMAIL_URL"].removeprefix("smtp://")
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = address.split(":")
        email = ask()
        run_pending()
        (received,) = sink.mails()
    assert received["To"] == "alice@example.com"
    assert received["Message-ID"].startswith(f"<{email.task_run}@")
    assert "http://x/" in received.get_content()
    assert os.environ["EMAIL_URL"] != sink.environ["EMAIL_URL"]
