"""E-mails are asked for in transactions and sent by durable tasks."""

from __future__ import annotations

import pytest
from django.core import mail
from django.db import transaction

from apps.notifications.kinds import kind_of
from apps.notifications.models import Email
from apps.notifications.services import email_request
from apps.stack.testing import SmtpSink
from apps.tasks.testing import run_pending

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("committed")]

CONTEXT = {
    **kind_of("backtest_finished").sample,
    "figures": [{"name": "sharpe", "value": "1.00"}],
    "url": "http://x/",
}


def ask(about: str = "backtest:1", recipient: str = "alice@example.com") -> Email:
    asked = email_request(kind="backtest_finished", recipient=recipient, about=about, context=CONTEXT)
    assert asked is not None
    return asked


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
    assert (first.state, first.reason) == ("sent", "")


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


def test_an_email_reaches_a_real_mail_server(settings):
    with SmtpSink() as sink:
        address = sink.environ["EMAIL_URL"].removeprefix("smtp://")
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = address.split(":")
        email = ask()
        run_pending()
        (received,) = sink.mails()
    assert received["To"] == "alice@example.com"
    assert received["Message-ID"].startswith(f"<{email.task_run}@")
    text, html = (received.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "The whole result: http://x/" in text
    assert 'href="http://x/"' in html
    assert received.get_content_type() == "multipart/alternative"
    assert received["Auto-Submitted"] == "auto-generated"
