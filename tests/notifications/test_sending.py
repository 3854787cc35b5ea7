"""What the mail server says decides what becomes of a mail."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.utils import timezone

from apps.notifications import connections
from apps.notifications.checks import check_sender
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email
from apps.notifications.sending import email_move, email_sent
from apps.notifications.services import (
    CannotResend,
    email_request,
    email_resend,
    email_test,
    emails_settle,
)
from apps.notifications.states import TRANSITIONS, EmailState
from apps.notifications.tasks import prune
from apps.tasks import services
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import drain, make_due, requested, run_pending
from tests.core.test_settings import GIVEN, read
from tests.notifications.mailserver import answering

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_connection():
    connections.forget()
    yield
    connections.forget()


def ask(about: str = "order:1", recipient: str = "alice@example.com", **changes: Any) -> Email:
    context = {**kind_of("order_rejected").sample, **changes}
    asked = email_request(kind="order_rejected", recipient=recipient, about=about, context=context)
    assert asked is not None
    return asked


def stands(email: Email) -> tuple[str, State]:
    """The state of the mail and of its run."""
    email.refresh_from_db()
    return email.state, State(TaskRun.objects.get(pk=email.task_run).state)


def test_a_refusal_ends_dead_with_its_reason_and_anything_passing_is_tried_again(settings):
    with answering(settings) as server:
        for command, answer, expected in (
            ("rcpt", "550 5.1.1 unknown user", ("refused", State.DEAD)),
            ("rcpt", "450 4.2.0 greylisted, come back", ("requested", State.SCHEDULED)),
            ("mail", "553 5.7.1 not you", ("requested", State.SCHEDULED)),
            ("mail", "452 4.3.1 disk full", ("requested", State.SCHEDULED)),
            ("data", "554 5.7.1 looks like spam", ("refused", State.DEAD)),
            ("data", "451 4.3.0 later", ("requested", State.SCHEDULED)),
        ):
            setattr(server, command, answer)
            email = ask(f"order:{answer}")
            run_pending()
            assert stands(email) == expected, answer
            assert answer in email.reason
            run = TaskRun.objects.get(pk=email.task_run)
            assert answer[4:] in run.error["message"]
            assert (email.sent_at, run.attempt) == (None, 1)
            setattr(server, command, "")
            if expected[1] is State.SCHEDULED:
                make_due(run)
                run_pending()
                assert stands(email) == ("sent", State.SUCCEEDED)
                assert email.reason == ""
                assert f"<{run.pk}@" in server.taken[-1]


def test_a_server_that_is_away_is_tried_again_until_the_attempts_are_used_up(settings):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    email = ask()
    run_pending()
    assert stands(email) == ("requested", State.SCHEDULED)
    assert "ConnectionRefusedError" in email.reason
    assert emails_settle() == 0
    TaskRun.objects.filter(pk=email.task_run).update(max_attempts=3)
    drain("email", later=True)
    assert stands(email) == ("requested", State.DEAD)
    assert TaskRun.objects.get(pk=email.task_run).attempt == 3
    assert (emails_settle(), emails_settle()) == (1, 0)
    assert stands(email) == ("failed", State.DEAD)
    assert email.reason.startswith("no connection to the mail server: ConnectionRefusedError: ")


def test_mails_in_a_row_share_a_connection_and_survive_its_end(settings):
    with answering(settings) as server:
        for number in range(3):
            ask(f"order:{number}")
        run_pending()
        assert (server.connections, len(server.taken)) == (1, 3)
        server.drop()
        ask("order:dropped")
        run_pending()
        assert (server.connections, len(server.taken)) == (2, 4)
        # An error ends it as well: what state the server is in is not known then.
        server.rcpt = "450 later"
        ask("order:later")
        run_pending()
        server.rcpt = ""
        ask("order:after")
        run_pending()
        assert (server.connections, len(server.taken)) == (3, 5)
    # Another server by the settings: no mail goes to the old one.
    with answering(settings) as other:
        ask("order:other")
        run_pending()
        assert len(other.taken) == 1
    assert not Email.objects.filter(state="refused").exists()


def test_what_cannot_be_a_mail_is_refused_and_what_asked_for_it_does_not_fail(settings):
    for recipient in ("no address", "a@b\nBcc: eve@example.com", "a@", "@b"):
        email = ask(recipient=recipient)
        run_pending()
        assert stands(email) == ("refused", State.DEAD)
        assert "is not an e-mail address" in email.reason
    settings.DEFAULT_FROM_EMAIL = "Desk\nBcc: eve@example.com <desk@example.com>"
    email = ask("order:2")
    run_pending()
    assert stands(email) == ("refused", State.DEAD)
    assert mail.outbox == []


def test_a_sender_who_has_no_address_is_found_before_mails_are_lost_to_it(settings):
    for given in ("desk@example.com", "Desk <desk@example.com>", "Börse <mail@börse.example>"):
        settings.DEFAULT_FROM_EMAIL = given
        assert check_sender(app_configs=None) == []
    for given in ("", "Desk", "Desk <desk>", "desk@", "Desk\nBcc: eve@example.com <desk@example.com>"):
        settings.DEFAULT_FROM_EMAIL = given
        assert [one.id for one in check_sender(app_configs=None)] == ["notifications.E002"], given
    with pytest.raises(SystemCheckError, match="which is neither an e-mail address nor a name and one"):
        call_command("check")


def test_what_no_envelope_has_room_for_is_refused(settings):
    with answering(settings) as server:
        for recipient in ("a@x.de,b@y.de", "a@b@c.de", "a@x..de", "a@x.de>", "a@[192.0.2.1"):
            email = ask(recipient=recipient)
            run_pending()
            assert stands(email) == ("refused", State.DEAD), recipient
            assert "is not an e-mail address" in email.reason
        assert server.taken == []


def test_a_broken_template_stops_the_mail_alone_and_once_mended_it_is_sent(settings, tmp_path: Path):
    (tmp_path / "notifications").mkdir()
    theirs = tmp_path / "notifications" / "order_rejected.txt"
    theirs.write_text("{% nonsense %}")
    before = configured.TEMPLATES
    settings.TEMPLATES = [{**before[0], "DIRS": [str(tmp_path)]}]
    email = ask()
    assert (email.state, email.subject) == ("requested", "")
    run_pending()
    assert stands(email) == ("refused", State.DEAD)
    assert "order_rejected is broken: " in email.reason
    settings.TEMPLATES = before
    email_resend(email=email, actor="user:1")
    assert stands(email) == ("requested", State.SCHEDULED)
    run_pending()
    assert stands(email) == ("sent", State.SUCCEEDED)
    assert [message.subject for message in mail.outbox] == [email.subject]
    assert email.subject.startswith("Order rejected (paper): buy 0.25 binance:BTC/USDT")


def test_only_what_was_given_up_is_sent_again(settings):
    sent = ask("order:sent")
    run_pending()
    waiting = ask("order:waiting")
    for email, said in ((sent, "it is sent"), (waiting, "is scheduled")):
        email.refresh_from_db()
        with pytest.raises(CannotResend, match=said):
            email_resend(email=email)
    services.cancel(run_id=waiting.task_run)
    emails_settle()
    assert stands(waiting) == ("failed", State.CANCELLED)
    assert waiting.reason == "its run was cancelled"


def test_a_mail_that_is_redriven_from_the_board_of_tasks_is_on_its_way_again(settings):
    with answering(settings) as server:
        server.rcpt = "550 5.1.1 unknown"
        email = ask()
        run_pending()
        assert stands(email) == ("refused", State.DEAD)
        services.redrive(run_id=email.task_run)
        server.rcpt = "450 4.2.0 later"
        run_pending()
        assert stands(email) == ("requested", State.SCHEDULED)
        assert "450 4.2.0 later" in email.reason
        # Given up in another way, it is found out about as any other.
        services.cancel(run_id=email.task_run)
        assert emails_settle() == 1
        assert stands(email) == ("failed", State.CANCELLED)
        services.redrive(run_id=email.task_run)
        server.rcpt = ""
        run_pending()
        assert stands(email) == ("sent", State.SUCCEEDED)


def test_a_mail_that_has_bounced_meanwhile_stays_bounced_and_is_not_sent_again():
    email = ask()
    Email.objects.filter(pk=email.pk).update(state="bounced")
    run_pending()
    assert stands(email) == ("bounced", State.SUCCEEDED)
    assert mail.outbox == []


def test_a_bounce_that_overtakes_the_record_leaves_when_it_was_sent_and_what_it_is_called():
    email = ask()
    Email.objects.filter(pk=email.pk).update(state="bounced", reason="550 unknown")
    email_sent(email=email, provider_id="provider-1")
    email.refresh_from_db()
    assert (email.state, email.reason, email.provider_id) == ("bounced", "550 unknown", "provider-1")
    assert email.sent_at is not None


def test_every_move_of_the_table_and_no_other_is_made():
    email = ask()
    for before in EmailState:
        for after in EmailState:
            Email.objects.filter(pk=email.pk).update(state=before, reason="old")
            moved = email_move(email=email, to=after, reason="new")
            email.refresh_from_db()
            assert moved is (after in TRANSITIONS[before]), (before, after)
            assert (email.state, email.reason) == ((after, "new") if moved else (before, "old"))


class Providing(BaseEmailBackend):
    """A backend like those of django-anymail."""

    answer: Any = 1
    options: dict[str, Any] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(fail_silently=options.pop("fail_silently", False))
        Providing.options = options

    def send_messages(self, messages: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        for message in messages:
            message.anymail_status = type("Status", (), {"message_id": "provider-1"})()
        return self.answer


class RateLimited(Exception):
    status_code = 429
    response = type("Response", (), {"headers": {"Retry-After": "120"}})()


def test_any_backend_of_django_may_send(settings, monkeypatch):
    settings.EMAIL_BACKEND = f"{__name__}.Providing"
    settings.EMAIL_BACKEND_OPTIONS = {"api_key": "k"}
    email = ask()
    run_pending()
    assert stands(email) == ("sent", State.SUCCEEDED)
    assert email.provider_id == "provider-1"
    assert Providing.options == {"api_key": "k"}
    monkeypatch.setattr(Providing, "answer", 0)
    email = ask("order:2")
    run_pending()
    assert stands(email) == ("requested", State.SCHEDULED)
    assert "has sent nothing" in email.reason
    monkeypatch.setattr(Providing, "answer", RateLimited("slow down"))
    email = ask("order:3")
    run_pending()
    assert stands(email) == ("requested", State.SCHEDULED)
    run = TaskRun.objects.get(pk=email.task_run)
    assert 100 < (run.due_at - run.requested_at).total_seconds() < 200


def test_backend_and_templates_come_from_the_environment():
    shown = [
        f"s.{name}"
        for name in ("EMAIL_BACKEND", "EMAIL_BACKEND_OPTIONS", "TEMPLATES[0]['DIRS']", "EMAIL_TIMEOUT")
    ]
    backend = {"EMAIL_BACKEND": "anymail.backends.mailgun.EmailBackend", "EMAIL_BACKEND_OPTIONS": '{"a": 1}'}
    told = read(*shown, **GIVEN, **backend, EMAIL_TIMEOUT="300", TEMPLATES_DIR="/etc/mails")
    assert told == ["anymail.backends.mailgun.EmailBackend", {"a": 1}, ["/etc/mails"], 300.0]
    smtp = "django.core.mail.backends.smtp.EmailBackend"
    assert read(*shown, **GIVEN) == [smtp, {}, [], 60.0]


def test_what_old_mails_say_is_deleted_and_that_they_were_there_is_not(settings):
    settings.EMAILS_KEPT_DAYS = 30
    old, waiting, late, new = (ask(f"order:{number}") for number in range(4))
    refused = ask(recipient="no address")
    run_pending()
    Email.objects.filter(pk=waiting.pk).update(state="requested")
    for email in (old, refused, waiting, late):
        long_ago = timezone.now() - timedelta(days=31)
        changed = timezone.now() if email == late else long_ago
        Email.objects.filter(pk=email.pk).update(created_at=long_ago, changed_at=changed)
    prune.delay()
    run_pending()
    assert [run.result for run in requested(prune)] == [{"emptied": 2}]
    for email in (old, refused, waiting, late, new):
        email.refresh_from_db()
        gone = email in (old, refused)
        assert (email.context == {}, email.body == "", email.html == "") == (gone, gone, gone)
        assert (email.emptied_at is not None, bool(email.subject)) == (gone, True)
    assert ask("order:0") == old
    # What is not known any more is not sent, by neither way.
    with pytest.raises(CannotResend, match="not kept any more"):
        email_resend(email=refused)
    sent = len(mail.outbox)
    services.redrive(run_id=refused.task_run)
    run_pending()
    refused.refresh_from_db()
    assert (refused.state, refused.reason) == ("refused", "what it said is not kept any more")
    for for_ever in (0, -1):
        settings.EMAILS_KEPT_DAYS = for_ever
        prune.delay()
        run_pending()
    assert len(mail.outbox) == sent
    assert Email.objects.filter(emptied_at=None).count() == 3


def test_a_test_is_marked_as_one_and_looks_like_the_sample():
    email = email_test(kind="webhook_attack", recipient="ops@example.com")
    run_pending()
    (message,) = mail.outbox
    assert message.subject == "[Test] Attack on your webhook momentum: The secret is wrong"
    assert "This is a test: what it tells of has not happened." in message.body
    assert "3 more like this were held back" in message.body
    assert "List-Unsubscribe" not in message.extra_headers
    assert stands(email)[0] == "sent"
