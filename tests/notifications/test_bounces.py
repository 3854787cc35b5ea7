"""Mails that came back: the mail says so, and nothing more is sent to the address."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client

from apps.notifications.bounces import Failure, NotAReport, failures
from apps.notifications.kinds import kind_of
from apps.notifications.models import Email, SuppressedAddress
from apps.notifications.services import CannotResend, email_request, email_resend
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending

URL = "/api/v1/notifications/bounces"
SUPPRESSIONS = "/api/v1/notifications/suppressions"


def report(
    *recipients: str, message_id: str = "<x@localhost>", headers: bool = False, head: str = ""
) -> bytes:
    """A delivery status notification as mail servers write them."""
    quoted = f"From: chandlery@localhost\nMessage-ID: {message_id}\nSubject: Order rejected\n"
    quoted_as = "text/rfc822-headers" if headers else "message/rfc822"
    return (
        f"From: MAILER-DAEMON@mx.example\nTo: chandlery@localhost\nSubject: Undelivered\n{head}"
        "Auto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/report;\n"
        ' report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nIt could not be delivered.\n\n"
        "--b\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; mx.example\nArrival-Date: Mon, 2 Mar 2026 09:30:00 +0000\n\n"
        + "\n".join(recipients)
        + f"\n--b\nContent-Type: {quoted_as}\n\n{quoted}"
        + ("" if headers else "\nThe text.\n")
        + "\n--b--\n"
    ).encode()


def block(
    action: str = "failed", status: str = "5.1.1", said: str = "smtp; 550 5.1.1\n <a@example.com>: unknown"
) -> str:
    return (
        "Final-Recipient: rfc822; a@example.com\n"
        f"Action: {action}\n"
        + (f"Status: {status}\n" if status else "")
        + (f"Diagnostic-Code: {said}\n" if said else "")
    )


# Reading reports ----------------------------------------------------------------------------------


def test_a_report_says_which_mail_did_not_reach_whom_and_why():
    for raw in (report(block()), report(block(), headers=True), report(block()).replace(b"\n", b"\r\n")):
        assert failures(raw) == [
            Failure(
                message_id="<x@localhost>",
                permanent=True,
                reason="550 5.1.1 <a@example.com>: unknown",
            )
        ]


def test_an_address_is_given_up_for_what_is_said_of_it_alone():
    for status, permanent in (
        ("5.1.1", True), ("5.1.10", True), ("5.0.0", True), ("5.2.1", True), ("5.4.4", True), ("", True),
        ("5.2.2 (mailbox full)", False), ("5.3.4", False), ("5.7.1", False), ("5.6.0", False),
        ("5.4.6", False), ("5.1.8", False), ("5.5.3", False),
        ("4.4.7", False), ("4.2.2", False),
    ):  # fmt: skip
        (failure,) = failures(report(block(status=status)))
        assert failure.permanent is permanent, status
    (failure,) = failures(report(block(said="")))
    assert failure.reason == "5.1.1"


def test_delays_and_deliveries_are_no_failures():
    for action in ("delayed", "delivered", "relayed", "expanded"):
        assert failures(report(block(action))) == []
    assert len(failures(report(block("delayed"), block("Failed (bad destination)"), block("FAILED")))) == 2


def test_where_the_mail_is_not_quoted_the_header_says_which_it_was():
    for head in ("In-Reply-To: <y@localhost>\n", "References: <a@b> <y@localhost>\n"):
        raw = report(block(), head=head).replace(b"Message-ID: <x@localhost>\n", b"")
        assert [failure.message_id for failure in failures(raw)] == ["<y@localhost>"]
    raw = report(block()).replace(b"Message-ID: <x@localhost>\n", b"")
    assert [failure.message_id for failure in failures(raw)] == [""]


def test_what_is_no_report_is_refused():
    broken = report(block()).replace(b"message/delivery-status", b"text/plain")
    for raw in (
        b"",
        b"hello",
        b"\xff\x00" * 50,
        b"Subject: x\n\nnot delivered",
        broken,
        report(""),
        report(),
    ):
        with pytest.raises(NotAReport):
            failures(raw)


def test_what_would_take_long_to_read_is_refused():
    multiparts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number)
        for number in range(1000)
    )
    for raw in (multiparts, b"content-type: message/rfc822\r\n\r\n" * 1000, report(block()) + multiparts):
        with pytest.raises(NotAReport, match="parts"):
            failures(raw)
    # Each recipient is recorded by itself.
    assert len(failures(report(*[block()] * 50))) == 50
    with pytest.raises(NotAReport, match="more than 50 recipients"):
        failures(report(*[block()] * 51))


# Recording them -----------------------------------------------------------------------------------


@pytest.fixture
def sent(db: None) -> Email:
    email = ask("order:1")
    run_pending()
    email.refresh_from_db()
    assert email.state == "sent"
    return email


def ask(about: str, recipient: str = "A@example.com") -> Email:
    email = email_request(
        kind="order_rejected", recipient=recipient, about=about, context=kind_of("order_rejected").sample
    )
    assert email is not None
    return email


def message_id_of(email: Email) -> str:
    (message,) = [one for one in mail.outbox if email.recipient in one.to]
    return str(message.extra_headers["Message-ID"])


def post(client: Client, body: Any, **headers: str) -> Any:
    kind = "message/rfc822" if isinstance(body, bytes) else "application/json"
    return client.post(URL, body, content_type=kind, headers=headers)


def test_a_report_bounces_the_mail_and_ends_what_follows_to_the_address(admin_client, sent):
    raw, waiting = report(block(), message_id=message_id_of(sent)), ask("order:waiting")
    for _ in range(2):
        answer = post(admin_client, raw)
        assert answer.status_code == 200, answer.content
        assert answer.json() == [
            {
                "email": str(sent.pk),
                "recipient": "A@example.com",
                "reason": "550 5.1.1 <a@example.com>: unknown",
                "suppressed": True,
            }
        ]
    sent.refresh_from_db()
    assert (sent.state, sent.reason) == ("bounced", "550 5.1.1 <a@example.com>: unknown")
    assert sent.sent_at is not None
    suppressed = SuppressedAddress.objects.get()
    assert (suppressed.address, suppressed.email) == ("a@example.com", sent)

    later = ask("order:2", "a@Example.com")
    said = f"bounced on {suppressed.created_at:%Y-%m-%d}: {suppressed.reason}"
    assert (later.state, later.task_run, later.reason) == ("suppressed", None, said)
    # What was asked for before the bounce is not sent after it.
    run_pending()
    waiting.refresh_from_db()
    run = TaskRun.objects.get(pk=waiting.task_run)
    assert (waiting.state, waiting.reason, run.state, run.attempt) == ("suppressed", said, "dead", 1)
    assert said in run.error["message"]
    assert len(mail.outbox) == 1

    listed = admin_client.get(SUPPRESSIONS, {"address": "A@example.com"}).json()
    assert [(one["id"], one["email"]) for one in listed] == [(str(suppressed.pk), str(sent.pk))]
    where = f"{SUPPRESSIONS}/{suppressed.pk}"
    assert [admin_client.delete(where).status_code for _ in range(2)] == [204, 404]
    assert admin_client.get(SUPPRESSIONS).json() == []
    suppressed.refresh_from_db()
    assert suppressed.lifted_by.startswith("user:")
    # Then what was held back may be sent after all.
    for email in (later, waiting):
        email_resend(email=email)
        with pytest.raises(CannotResend):
            email_resend(email=email)
    ask("order:3")
    run_pending()
    assert len(mail.outbox) == 4
    later.refresh_from_db()
    assert later.state == "sent"


def test_a_failure_that_says_nothing_of_the_address_bounces_the_mail_alone(admin_client, sent):
    raw = report(block(status="5.7.1", said="smtp; 550 spam"), message_id=message_id_of(sent))
    assert post(admin_client, raw).json()[0]["suppressed"] is False
    sent.refresh_from_db()
    assert sent.state == "bounced"
    assert not SuppressedAddress.objects.exists()


def test_a_report_that_is_no_failure_changes_nothing(admin_client, sent):
    assert post(admin_client, report(block("delayed"), message_id=message_id_of(sent))).json() == []
    sent.refresh_from_db()
    assert sent.state == "sent"


def test_the_message_id_of_a_sender_with_a_domain_of_any_letters_comes_back(admin_client, settings):
    """In a header, what is not ASCII would be encoded, and no report have it."""
    settings.DEFAULT_FROM_EMAIL = "Börse <mail@börse.example>"
    email = ask("order:1")
    run_pending()
    (message,) = mail.outbox
    headers = message.message()
    assert headers["Message-ID"] == f"<{email.task_run}@xn--brse-5qa.example>"
    raw = report(block(), message_id=headers["Message-ID"])
    (told,) = admin_client.post(URL, raw, "message/rfc822").json()
    assert told["email"] == str(email.pk)


def test_anybodys_report_about_a_mail_that_is_not_ours_changes_nothing(admin_client, sent):
    odd = ("<a\0b@localhost>", f"<{'x' * 100_000}@localhost>", "<\u202e@localhost>")
    for message_id in ("<x@localhost>", "<01920f6e-7a3b-7c50-9d4e-2f6b8a1c3e5d@localhost>", "", *odd):
        answer = post(admin_client, report(block(), message_id=message_id))
        assert answer.status_code == 404
        assert answer.json()["type"] == "/problems/not-found"
    assert not SuppressedAddress.objects.exists()


def test_providers_report_by_json(admin_client, sent):
    Email.objects.filter(pk=sent.pk).update(provider_id="0100018f-abc")
    mine = {"permanent": False, "reason": "mailbox\nfull"}
    answer = post(admin_client, {**mine, "message_id": "0100018f-abc"})
    assert answer.json() == [
        {"email": str(sent.pk), "recipient": "A@example.com", "reason": "mailbox full", "suppressed": False}
    ]
    sent.refresh_from_db()
    assert sent.state == "bounced"
    # A complaint without a mail: the address alone.
    answer = post(admin_client, {"recipient": "B@Example.com", "permanent": True, "reason": "complaint"})
    assert answer.json()[0]["email"] is None
    assert SuppressedAddress.objects.get().address == "b@example.com"
    for body, field in (
        ({}, "permanent"),
        ({"permanent": True, "reason": "x"}, ""),
        ({"permanent": True, "reason": "x", "recipient": "nobody"}, "recipient"),
        ({"permanent": True, "reason": "x", "recipient": "c@example.com", "colour": 1}, "colour"),
        ([], ""),
    ):
        answer = post(admin_client, body)
        assert answer.status_code == 400, body
        assert field in [error["field"] for error in answer.json()["errors"]]
    assert post(admin_client, {**mine, "message_id": "<unknown@x>"}).status_code == 404
    assert SuppressedAddress.objects.count() == 1


def test_a_report_may_be_malformed_or_too_large(admin_client):
    for body, code in ((b"Subject: hello\n\nx", 400), (b"x" * 200_001, 413)):
        assert post(admin_client, body).status_code == code
    assert admin_client.post(URL, "x", content_type="text/plain").status_code == 415


def test_staff_and_the_bearer_of_the_token_report_and_nobody_else(client, sent, settings, django_user_model):
    body = {"recipient": "b@example.com", "permanent": True, "reason": "gone"}
    assert post(client, body).status_code == 401
    assert post(client, body, Authorization="Bearer ").status_code == 401
    settings.BOUNCES_TOKEN = "t0ken"
    assert post(client, body, Authorization="Bearer wrong").status_code == 401
    assert post(client, body, Authorization="bearer t0ken").status_code == 200
    client.force_login(django_user_model.objects.create_user("anna"))
    assert post(client, body).status_code == 403
    assert client.get(SUPPRESSIONS).status_code == 403
    assert client.delete(f"{SUPPRESSIONS}/{SuppressedAddress.objects.get().pk}").status_code == 403


def test_operators_mails_are_stopped_in_plain_sight(admin_client, sent):
    SuppressedAddress.objects.create(address="ops@example.com", reason="gone")
    email = email_request(
        kind="dead_letters", recipient="ops@example.com", about="a:1", context=kind_of("dead_letters").sample
    )
    assert email is not None
    run_pending()
    page = admin_client.get("/admin/notifications/email/", {"state": "suppressed"}).content.decode()
    assert "ops@example.com" in page
    assert "bounced on" in page


def test_a_user_may_go_and_the_mail_stays(sent):
    user = get_user_model()._default_manager.create_user("anna", "anna@example.com")
    Email.objects.filter(pk=sent.pk).update(user=user)
    user.delete()
    sent.refresh_from_db()
    assert sent.user is None
