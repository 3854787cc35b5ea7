"""Users decide which mails they get: over the API, and by the link in a mail."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.signing import Signer
from django.test import Client

from apps.notifications.kinds import kind_of
from apps.notifications.models import Email, Preference
from apps.notifications.preferences import preferences_set
from apps.notifications.services import email_request, email_resend
from apps.tasks.models import TaskRun
from apps.tasks.testing import run_pending

pytestmark = pytest.mark.django_db

URL = "/api/v1/notifications/preferences"
EMAILS = "/api/v1/notifications/emails"


@pytest.fixture(autouse=True)
def public(settings: Any) -> None:
    settings.PUBLIC_URL = "https://chandlery.example"


@pytest.fixture
def anna() -> Any:
    return get_user_model()._default_manager.create_user("anna", "anna@example.com", "x")


@pytest.fixture
def api(client: Client, anna: Any) -> Client:
    client.force_login(anna)
    return client


def change(api: Client, body: Any) -> Any:
    return api.patch(URL, body, content_type="application/json")


def enabled(answer: Any) -> dict[str, bool]:
    return {one["kind"]: one["enabled"] for one in answer.json()}


def tell(user: Any, kind: str = "order_rejected", about: str = "order:1") -> Email:
    email = email_request(kind=kind, user=user, about=about, context=kind_of(kind).sample)
    assert email is not None
    return email


def test_a_user_sees_the_kinds_and_turns_them_on_and_off(api, anna):
    answer = api.get(URL)
    assert answer.status_code == 200
    rejected = next(one for one in answer.json() if one["kind"] == "order_rejected")
    assert rejected == {
        "kind": "order_rejected",
        "label": "Order rejected",
        "description": kind_of("order_rejected").description,
        "enabled": True,
        "changeable": True,
    }
    assert "dead_letters" not in enabled(answer)
    assert all(enabled(answer).values())
    answer = change(api, {"order_rejected": False, "sweep_finished": False})
    assert {kind for kind, on in enabled(answer).items() if not on} == {"order_rejected", "sweep_finished"}
    answer = change(api, {"order_rejected": True})
    assert {kind for kind, on in enabled(answer).items() if not on} == {"sweep_finished"}
    assert enabled(api.get(URL)) == enabled(answer)
    assert set(Preference.objects.values_list("kind", "enabled", "source")) == {
        ("order_rejected", True, "api"), ("sweep_finished", False, "api"),
    }  # fmt: skip
    other = Client()
    other.force_login(get_user_model()._default_manager.create_user("bert"))
    assert all(enabled(other.get(URL)).values())


def test_what_cannot_be_changed_is_refused_and_nothing_is(api):
    for body, field, said in (
        (
            {"order_needs_review": False, "order_rejected": False},
            "order_needs_review",
            "cannot be turned off",
        ),
        ({"dead_letters": False}, "dead_letters", "Not known here"),
        ({"order_rejected": "perhaps"}, "order_rejected", "valid boolean"),
    ):
        answer = change(api, body)
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["field"] == field
        assert said in error["detail"]
    assert not Preference.objects.exists()
    assert change(api, {"order_needs_review": True}).status_code == 200
    for client in (Client(),):
        assert client.get(URL).status_code == client.get(EMAILS).status_code == 401


def test_users_see_their_own_mails_with_their_states_page_by_page(api, anna):
    change(api, {"sweep_finished": False})
    for number in range(3):
        tell(anna, about=f"order:{number}")
    tell(anna, "sweep_finished", "sweep:1")
    bert = get_user_model()._default_manager.create_user("bert", "bert@example.com")
    tell(bert)
    email_request(
        kind="orphans", recipient="anna@example.com", about="o:1", context=kind_of("orphans").sample
    )
    run_pending()
    shown, address = [], f"{EMAILS}?limit=3"
    while address:
        answer = api.get(address)
        shown += answer.json()
        link = re.fullmatch(r'<http://testserver(.*)>; rel="next"', answer.get("Link", ""))
        address = link[1] if link else ""
    assert [(one["kind"], one["about"], one["state"]) for one in shown] == [
        ("sweep_finished", "sweep:1", "suppressed"),
        *(("order_rejected", f"order:{number}", "sent") for number in (2, 1, 0)),
    ]
    assert shown[0]["reason"] == "turned off by the user"
    assert shown[1]["recipient"] == "anna@example.com"
    assert shown[1]["subject"].startswith("Order rejected")
    assert "body" not in shown[1]
    assert "context" not in shown[1]
    assert [one["kind"] for one in api.get(EMAILS, {"state": "suppressed"}).json()] == ["sweep_finished"]
    assert len(api.get(EMAILS, {"kind": "order_rejected"}).json()) == 3
    for query in ("state=lost", "limit=0", "cursor=x", "colour=red"):
        assert api.get(f"{EMAILS}?{query}").status_code == 400


def test_what_is_turned_off_before_it_is_sent_is_not_sent_nor_sent_again(anna):
    waiting, kept = tell(anna), tell(anna, "order_needs_review")
    preferences_set(user_id=anna.pk, enabled={"order_rejected": False}, source=Preference.Source.API)
    off = tell(anna, about="order:2")
    run_pending()
    for email in (waiting, kept, off):
        email.refresh_from_db()
    assert [email.state for email in (waiting, kept, off)] == ["suppressed", "sent", "suppressed"]
    assert waiting.reason == off.reason == "turned off by the user"
    assert len(mail.outbox) == 1
    # That is no failure: nobody has to look at it.
    run = TaskRun.objects.get(pk=waiting.task_run)
    assert (run.state, run.result["suppressed"]) == ("succeeded", "turned off by the user")
    email_resend(email=off)
    run_pending()
    off.refresh_from_db()
    assert (off.state, len(mail.outbox)) == ("suppressed", 1)


# The link in mails --------------------------------------------------------------------------------


def link_of(email: Email) -> str:
    """The path of the link by which the mail can be turned off, as its header has it."""
    (message,) = [one for one in mail.outbox if one.subject == email.subject]
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.fullmatch(r"<https://chandlery\.example(/\S+)>", message.extra_headers["List-Unsubscribe"])
    assert found is not None
    assert f"https://chandlery.example{found[1]}" in message.body
    assert f'href="https://chandlery.example{found[1]}"' in message.alternatives[0].content
    # However long it is, the header arrives whole: it stands on a line of its own then.
    arrived = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    assert arrived["List-Unsubscribe"].strip() == f"<https://chandlery.example{found[1]}>"
    return found[1]


def test_one_click_turns_the_kind_off_without_signing_in(anna):
    email = tell(anna)
    run_pending()
    link, stranger = link_of(email), Client(enforce_csrf_checks=True)
    # Programs look at links: that changes nothing.
    for _ in range(2):
        page = stranger.get(link)
        assert page.status_code == 200
        assert "Turn these mails off?" in page.content.decode()
        assert "no-store" in page["Cache-Control"]
        assert "default-src 'none'" in page["Content-Security-Policy"]
    assert stranger.head(link).status_code == 200
    assert not Preference.objects.exists()
    # What RFC 8058 has a mail program send, twice.
    for _ in range(2):
        page = stranger.post(link, {"List-Unsubscribe": "One-Click"})
        assert "You get no more mails of the kind “Order rejected”" in page.content.decode()
    preference = Preference.objects.get()
    assert (preference.user, preference.kind, preference.enabled, preference.source) == (
        anna, "order_rejected", False, "link",
    )  # fmt: skip
    assert tell(anna, about="order:2").state == "suppressed"
    assert tell(anna, "daily_limit", "account:1:2026-03-02").state == "requested"
    assert "These mails are off" in stranger.get(link).content.decode()
    assert "These mails are on" in stranger.post(link, {"again": "yes"}).content.decode()
    assert tell(anna, about="order:3").state == "requested"
    assert stranger.put(link).status_code == 405


def test_a_link_opens_nothing_but_its_user_and_kind(anna):
    email = tell(anna)
    run_pending()
    link = link_of(email)
    token = link.rsplit("/", 1)[1]
    signer = Signer(salt="notifications.unsubscribe")
    for wrong in (
        token[:-1],
        f"{token}x",
        "x" + token,
        token.split(":")[0],
        Signer(salt="another").sign_object([anna.pk, "order_rejected"]),
        signer.sign_object([anna.pk, "nonsense"]),
        signer.sign_object([anna.pk + 1, "order_rejected"]),
        signer.sign_object("nonsense"),
        signer.sign_object([anna.pk]),
        signer.sign_object([anna.pk, ["order_rejected"]]),
        signer.sign_object(["anna", "order_rejected"]),
    ):
        page = Client().post(f"/notifications/unsubscribe/{wrong}")
        assert page.status_code == 404, wrong
        assert "This link is not valid" in page.content.decode()
    unchangeable = signer.sign_object([anna.pk, "order_needs_review"])
    page = Client().post(f"/notifications/unsubscribe/{unchangeable}")
    assert page.status_code == 409
    assert "cannot be turned off" in page.content.decode()
    assert not Preference.objects.exists()
    anna.delete()
    assert Client().get(link).status_code == 404


def test_mails_that_cannot_be_turned_off_offer_no_link(anna):
    tell(anna, "order_needs_review")
    email_request(kind="orphans", recipient="ops@example.com", about="o:1", context=kind_of("orphans").sample)
    run_pending()
    assert len(mail.outbox) == 2
    for message in mail.outbox:
        assert "List-Unsubscribe" not in message.extra_headers
        assert "unsubscribe" not in message.body + message.alternatives[0].content
