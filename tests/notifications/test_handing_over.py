"""A mail is handed over once where that can be known, and by few connections."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db.models import F
from django.utils import timezone

from apps.notifications import connections, sending
from apps.notifications.addresses import address_suppress
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email
from apps.notifications.services import email_request, email_resend, emails_settle
from apps.notifications.tasks import send_email
from apps.tasks import claims, steps
from apps.tasks.models import TaskRun
from apps.tasks.states import State
from apps.tasks.testing import drain, make_due, run_pending
from tests.notifications.mailserver import Answers, answering
from tests.support import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_connection():
    connections.forget()
    yield
    connections.forget()


@pytest.fixture
def server(settings):
    with answering(settings) as answers:
        yield answers


def ask(about: str = "order:1") -> Email:
    email = email_request(
        kind="order_rejected",
        recipient="alice@example.com",
        about=about,
        context=kind_of("order_rejected").sample,
    )
    assert email is not None
    return email


def stands(email: Email) -> tuple[str, State]:
    email.refresh_from_db()
    return email.state, State(TaskRun.objects.get(pk=email.task_run).state)


# What is not known --------------------------------------------------------------------------------


def test_a_server_that_takes_a_mail_and_says_so_too_late_gets_three_copies_and_no_more(server, settings):
    server.data, settings.EMAIL_TIMEOUT = "silence", 0.2
    email = ask()
    for copies, state in ((1, State.SCHEDULED), (2, State.SCHEDULED), (3, State.DEAD)):
        run_pending()
        assert stands(email) == ("requested" if state == State.SCHEDULED else "failed", state)
        assert (len(server.unanswered), email.unanswered) == (copies, copies)
        assert "has not said whether it takes the mail" in email.reason
        if state == State.SCHEDULED:
            make_due(TaskRun.objects.get(pk=email.task_run))
    assert email.reason.startswith("it may have arrived: 3 times")
    assert all(f"<{email.task_run}@" in copy for copy in server.unanswered)
    # Whoever decides that it did not arrive has all attempts again.
    email_resend(email=email)
    assert stands(email) == ("requested", State.SCHEDULED)
    run_pending()
    assert stands(email) == ("requested", State.SCHEDULED)
    server.data = ""
    make_due(TaskRun.objects.get(pk=email.task_run))
    run_pending()
    assert stands(email) == ("sent", State.SUCCEEDED)


def test_a_server_that_answers_nonsense_gets_three_copies_and_one_that_takes_it_in_its_way_one(server):
    for number, (said, copies) in enumerate((("OK queued", 3), ("354 go on", 3), ("252 taken", 1))):
        server.data, before = said, server.commands.count("DATA")
        email = ask(about=f"order:{number}")
        run_pending()
        while TaskRun.objects.get(pk=email.task_run).state == State.SCHEDULED:
            assert server.commands.count("DATA") - before <= copies, said
            make_due(TaskRun.objects.get(pk=email.task_run))
            run_pending()
        assert server.commands.count("DATA") - before == copies, said
        assert stands(email) == (("sent", State.SUCCEEDED) if copies == 1 else ("failed", State.DEAD)), said


def test_silence_before_the_end_of_a_mail_is_no_such_thing(server, settings, monkeypatch):
    settings.EMAIL_TIMEOUT = 0.2

    def hang_up(self: Any, request: Any, address: Any) -> None:
        request.sendall(b"220 test.invalid\r\n")
        while (line := request.recv(1000)) and not line.startswith(b"data"):
            request.sendall(b"250 OK\r\n")
        request.close()

    monkeypatch.setattr(Answers, "finish_request", hang_up)
    email = ask()
    run_pending()
    assert stands(email) == ("requested", State.SCHEDULED)
    assert (email.unanswered, server.unanswered) == (0, [])
    assert "SMTPServerDisconnected" in email.reason


def test_attempts_go_on_for_about_a_day():
    waits = [send_email.backoff.ceiling(number) for number in range(1, send_email.max_attempts)]
    assert 22 < sum(waits) / 2 / 3600 < 26
    assert max(waits) == 3600


# Deaths and fences --------------------------------------------------------------------------------


class Killed(BaseException):
    """The worker dies here."""


def lose(run_id: Any) -> None:
    """The run of a worker that died is found, and due again."""
    TaskRun.objects.filter(pk=run_id).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert len(claims.reconcile()) == 1
    make_due(TaskRun.objects.get(pk=run_id))


def test_copies_that_a_death_leads_to_carry_one_message_id(monkeypatch):
    email = ask()

    def die(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(steps, "_finish", die)
        run_pending()
    lose(email.task_run)
    run_pending()
    assert stands(email) == ("sent", State.SUCCEEDED)
    ids = [message.extra_headers["Message-ID"] for message in mail.outbox]
    assert ids == [f"<{email.task_run}@localhost>"] * 2


def killed_before_it_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand over what waits; the worker dies after the server's answer."""

    def die(**given: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sending, "email_sent", die)
        run_pending()


def test_what_is_recorded_as_handed_over_is_not_handed_over_again(monkeypatch):
    email = ask()
    killed_before_it_is_recorded(monkeypatch)
    # What would have kept it from being sent comes too late.
    address_suppress(address=email.recipient, reason="gone")
    lose(email.task_run)
    run_pending()
    assert stands(email) == ("sent", State.SUCCEEDED)
    assert len(mail.outbox) == 1


def test_a_mail_that_was_handed_over_is_sent_although_its_run_was_cancelled_meanwhile(monkeypatch):
    email = ask()
    killed_before_it_is_recorded(monkeypatch)
    TaskRun.objects.filter(pk=email.task_run).update(state=State.CANCELLED)
    assert (emails_settle(), emails_settle()) == (1, 0)
    assert stands(email) == ("sent", State.CANCELLED)
    assert (email.reason, email.provider_id, email.sent_at is not None) == ("", "", True)
    assert len(mail.outbox) == 1


def test_an_attempt_from_which_the_run_was_taken_hands_nothing_over(monkeypatch):
    email = ask()
    real = sending.email_send

    def lose_it(**given: Any) -> Any:
        TaskRun.objects.filter(pk=email.task_run).update(fence=F("fence") + 1)
        return real(**given)

    monkeypatch.setattr(sending, "email_send", lose_it)
    run_pending()
    assert stands(email) == ("requested", State.RUNNING)
    assert mail.outbox == []


# Connections --------------------------------------------------------------------------------------


def test_whatever_is_wrong_while_connecting_may_pass_and_leaves_no_connection(server, settings):
    for number, (changes, said) in enumerate(
        (
            ({"EMAIL_USE_TLS": True}, "STARTTLS extension not supported"),
            ({"EMAIL_HOST_USER": "u", "EMAIL_HOST_PASSWORD": "p"}, "AUTH extension not supported"),
        )
    ):
        for name, value in changes.items():
            setattr(settings, name, value)
        email = ask(f"order:{number}")
        run_pending()
        assert stands(email) == ("requested", State.SCHEDULED), said
        assert email.reason.startswith("no connection to the mail server: SMTPNotSupportedError: ")
        assert said in email.reason
        assert server.commands[-1] == "QUIT"
        for name in changes:
            setattr(settings, name, "" if name != "EMAIL_USE_TLS" else False)
        make_due(TaskRun.objects.get(pk=email.task_run))
        run_pending()
        assert stands(email) == ("sent", State.SUCCEEDED)
        connections.forget()
    # A socket that nobody closed would be warned of here.
    gc.collect()


def test_a_connection_brings_so_many_mails_and_is_made_anew(server, monkeypatch):
    monkeypatch.setattr(connections, "MOST", 2)
    for number in range(5):
        ask(f"order:{number}")
    run_pending()
    assert (server.connections, len(server.taken)) == (3, 5)


def test_an_idle_connection_is_ended(server, monkeypatch):
    monkeypatch.setattr(connections, "IDLE", 0.01)
    ask()
    run_pending()
    wait_until(lambda: server.commands[-1] == "QUIT", what="the end of the connection", every=0.005)
    # One that was used again meanwhile is not idle: the timer of before does nothing.
    monkeypatch.setattr(connections, "IDLE", 3600.0)
    ask("order:2")
    run_pending()
    kept = connections._local.kept
    late = threading.Thread(target=kept._end_idle)
    late.start()
    late.join()
    assert kept.backend is not None
    connections.forget()
    assert (server.commands[-1], kept.backend) == ("QUIT", None)


def test_a_forked_process_leaves_the_connection_to_its_parent(server):
    ask("order:1")
    run_pending()
    with warnings.catch_warnings():
        # Newer Pythons warn of threads: the child does nothing that could wait for one.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        os._exit(int(connections._local.kept.backend is not None))
    assert os.waitpid(child, 0)[1] == 0
    ask("order:2")
    run_pending()
    assert (server.connections, len(server.taken)) == (1, 2)


def test_the_end_of_a_workers_process_ends_its_connection(server):
    from celery import signals

    ask()
    run_pending()
    assert server.commands[-1] == "DATA"
    signals.worker_process_shutdown.send(sender=None)
    assert server.commands[-1] == "QUIT"


def test_whatever_bytes_a_server_answers_with_can_be_stored(server):
    for number, (answer, expected) in enumerate(
        (("554 5.6.0 a\0b", ("refused", State.DEAD)), ("451 a\0b", ("requested", State.SCHEDULED)))
    ):
        server.data = answer
        email = ask(f"order:{number}")
        run_pending()
        assert stands(email) == expected
        assert answer.replace("\0", "\ufffd") in email.reason
        run = TaskRun.objects.get(pk=email.task_run)
        assert (run.attempt, "a\ufffdb" in run.error["message"]) == (1, True)
    server.data = ""
    drain("email", later=True)
    assert stands(email) == ("sent", State.SUCCEEDED)
